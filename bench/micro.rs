//! Time of each stage of a route's way, for tables of three sizes: `cargo bench --bench micro`.
//!
//! Elements are prefixes, so that the figures of different sizes compare; a stage that costs more for each prefix of a larger
//! table pays for caches, or has a bug.
#![allow(missing_docs, clippy::disallowed_methods, reason = "criterion measures time and makes functions of its own")]

mod fixture;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fixture::FAMILY;
use kubgp::net::Item;
use kubgp::rib::Rib;
use std::time::Duration;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

fn items(prefixes: usize, detour: usize) -> Vec<Item> {
    fixture::accept(fixture::decode(&fixture::messages(prefixes, detour)))
}

/// Tables with the routes of one peer, nothing decided.
fn stored(prefixes: usize, peers: u32) -> Rib {
    let mut rib = fixture::rib(peers);
    fixture::store(&mut rib, 1, &items(prefixes, 1));
    rib
}

fn input(c: &mut Criterion) {
    let mut bench = c.benchmark_group("decode");
    for size in SIZES {
        let bodies = fixture::messages(size, 0);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_with_input(BenchmarkId::from_parameter(size), &bodies, |b, bodies| b.iter_with_large_drop(|| fixture::decode(bodies)));
    }
    bench.finish();
    let mut bench = c.benchmark_group("import");
    for size in SIZES {
        let updates = fixture::decode(&fixture::messages(size, 0));
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_with_input(BenchmarkId::from_parameter(size), &updates, |b, updates| {
            b.iter_batched(|| updates.clone(), fixture::accept, BatchSize::LargeInput);
        });
    }
    bench.finish();
}

fn tables(c: &mut Criterion) {
    let mut bench = c.benchmark_group("store");
    for size in SIZES {
        let items = items(size, 0);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_with_input(BenchmarkId::from_parameter(size), &items, |b, items| {
            let fill = |mut rib: Rib| {
                fixture::store(&mut rib, 1, items);
                rib
            };
            b.iter_batched(|| fixture::rib(1), fill, BatchSize::LargeInput);
        });
    }
    bench.finish();
    // Routes that are there already: looking attributes and prefixes up is all there is to do.
    let mut bench = c.benchmark_group("intern");
    for size in SIZES {
        let items = items(size, 0);
        let mut rib = fixture::rib(1);
        fixture::store(&mut rib, 1, &items);
        rib.decide(FAMILY);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| fixture::store(&mut rib, 1, &items)));
    }
    bench.finish();
    let mut bench = c.benchmark_group("decide");
    for size in SIZES {
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_function(BenchmarkId::from_parameter(size), |b| {
            let decide = |mut rib: Rib| {
                let changed = rib.decide(FAMILY);
                (rib, changed)
            };
            b.iter_batched(|| stored(size, 1), decide, BatchSize::LargeInput);
        });
    }
    bench.finish();
    // A second peer offers a shorter path to every prefix: compared, and the best path changes.
    let mut bench = c.benchmark_group("second path");
    for size in SIZES {
        let better = items(size, 0);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_function(BenchmarkId::from_parameter(size), |b| {
            let before = || {
                let mut rib = stored(size, 2);
                rib.decide(FAMILY);
                rib
            };
            let change = |mut rib: Rib| {
                fixture::store(&mut rib, 2, &better);
                let changed = rib.decide(FAMILY);
                (rib, changed)
            };
            b.iter_batched(before, change, BatchSize::LargeInput);
        });
    }
    bench.finish();
}

fn output(c: &mut Criterion) {
    let mut bench = c.benchmark_group("encode and publish");
    for size in SIZES {
        let mut rib = stored(size, 1);
        let changed = rib.decide(FAMILY);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|times| {
                (0..times).fold(Duration::ZERO, |total, _| {
                    let mut group = fixture::group(&mut fixture::rib(1));
                    let start = std::time::Instant::now();
                    fixture::publish(&mut group, &mut rib, &changed);
                    let took = start.elapsed();
                    group.close(&mut rib);
                    total + took
                })
            });
        });
    }
    bench.finish();
    let mut bench = c.benchmark_group("journal read");
    for size in SIZES {
        let mut rib = stored(size, 1);
        let changed = rib.decide(FAMILY);
        let mut group = fixture::group(&mut fixture::rib(1));
        fixture::publish(&mut group, &mut rib, &changed);
        bench.throughput(Throughput::Elements(size as u64));
        bench.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || fixture::member(&mut group, &rib, 2),
                |(mut cursor, mut view)| fixture::read(&mut cursor, &mut view),
                BatchSize::SmallInput,
            );
        });
    }
    bench.finish();
}

fn quick() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = stages; config = quick(); targets = input, tables, output }
criterion_main!(stages);
