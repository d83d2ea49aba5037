use super::*;

fn write(name: &str, addresses: &[u8]) -> StatusWrite {
    let pool = (!addresses.is_empty()).then(|| "p".to_owned());
    StatusWrite { service: Key::new("d", name), addresses: ips(addresses), pool }
}

fn ips(addresses: &[u8]) -> Vec<IpAddr> {
    addresses.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect()
}

fn begun(queue: &mut Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.begin()).map(|w| format!("{}:{}", w.service.name, w.addresses.len())).collect()
}

#[test]
fn an_address_is_given_when_it_is_gone_elsewhere() {
    let mut queue = Queue::default();
    queue.push(write("b", &[1]), &[]);
    queue.push(write("a", &[2]), &ips(&[1]));
    assert_eq!(begun(&mut queue), ["a:1"]);
    queue.done(&Key::new("d", "a"), false);
    assert!(begun(&mut queue).is_empty(), "nobody knows what the status shows");
    queue.push(write("a", &[2]), &ips(&[1]));
    assert_eq!(begun(&mut queue), ["a:1"]);
    queue.done(&Key::new("d", "a"), true);
    assert_eq!(begun(&mut queue), ["b:1"]);
    queue.done(&Key::new("d", "b"), true);
    assert!(queue.is_empty());
}

#[test]
fn one_write_of_a_service_at_a_time_and_the_latest_counts() {
    let mut queue = Queue::default();
    queue.push(write("a", &[1]), &[]);
    assert_eq!(begun(&mut queue), ["a:1"]);
    queue.push(write("a", &[1, 2]), &[]);
    queue.push(write("a", &[]), &[]);
    // The first write may show by now.
    queue.push(write("b", &[1]), &[]);
    assert!(begun(&mut queue).is_empty());
    queue.done(&Key::new("d", "a"), true);
    assert_eq!(begun(&mut queue), ["a:0"]);
    queue.done(&Key::new("d", "a"), true);
    assert_eq!(begun(&mut queue), ["b:1"]);
}

#[test]
fn who_waits_in_a_circle_gets_out_of_it() {
    let mut queue = Queue::default();
    for (name, new, old) in [("a", 2, 1), ("b", 3, 2), ("c", 1, 3), ("late", 4, 9)] {
        queue.push(write(name, &[new]), &ips(&[old]));
    }
    assert_eq!(begun(&mut queue), ["late:1"]);
    queue.done(&Key::new("d", "late"), true);
    let mut order = Vec::new();
    while let Some(next) = queue.begin() {
        order.push(format!("{}:{}", next.service.name, next.addresses.len()));
        queue.done(&next.service, true);
    }
    assert_eq!(order, ["c:0", "b:1", "a:1", "c:1"]);
    assert!(queue.is_empty());
}

#[test]
fn who_shares_an_address_waits_for_nobody_and_who_is_gone_holds_nobody_up() {
    let mut queue = Queue::default();
    queue.push(write("a", &[1, 2]), &ips(&[1]));
    queue.push(write("b", &[1]), &[]);
    assert_eq!(begun(&mut queue), ["a:2", "b:1"]);
    queue.push(write("c", &[3]), &[]);
    queue.push(write("d", &[4]), &ips(&[3]));
    assert_eq!(begun(&mut queue), ["d:1"]);
    queue.forget(&Key::new("d", "d"));
    assert_eq!(begun(&mut queue), ["c:1"]);
}
