//! Messages: decoding never panics, and what was decoded comes back from its encoding.

use std::path::Path;

use bytes::{BufMut, BytesMut};
use kubgp::wire::attr::{NextHop, PathAttributes};
use kubgp::wire::update::put_mp_reach_header;
use kubgp::wire::*;

use crate::notation::{Session, lines};
use crate::run;

/// Bodies of the vectors of these files, as they are in one kind of session.
fn corpus(files: &[&str], session: &Session) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/vectors");
    let texts = files.iter().map(|f| std::fs::read_to_string(folder.join(f).with_extension("hex")).expect("vectors"));
    let texts: Vec<String> = texts.collect();
    let bodies = texts.iter().flat_map(|text| lines(text)).map(|line| session.expand(line.message));
    bodies.filter(|octets| octets.len() > HEADER_LEN && octets.len() < 9000).map(|octets| octets[HEADER_LEN..].to_vec()).collect()
}

#[test]
fn an_update_that_is_taken_survives_encoding() {
    for options in [&["e4"][..], &["e2"], &["i4"], &["e4", "nh"], &["i4", "ap"]] {
        let session = Session::chosen(options)[0];
        let corpus = corpus(&["update-attributes", "update-multiprotocol", "update-structure"], &session);
        run(&format!("update {options:?}"), &corpus, 3000, |body| {
            let Ok(update) = decode_update(body, &session.context()) else { return };
            update.reach.iter().filter(|r| !r.nlri.is_empty()).for_each(|reach| assert_eq!(again(reach, &session), *reach));
        });
    }
}

/// Encodes a route as we would send it to a peer with 4-octet AS numbers, and decodes that.
fn again(reach: &Reach, session: &Session) -> Reach {
    let attributes = PathAttributes::from(&reach.attrs);
    let attrs = AttrSet::from(&attributes);
    assert_eq!(attrs, reach.attrs, "the editable form loses something");
    let (mut nlri, mut block) = (BytesMut::new(), BytesMut::new());
    reach.nlri.iter().for_each(|n| encode_nlri(n, session.add_path, &mut nlri));
    let next_hop = attrs.next_hop();
    let field = matches!(next_hop, NextHop::V4(_));
    match next_hop {
        NextHop::V4(address) => {
            block.put_slice(&[0x40, 3, 4]);
            block.put_slice(&address.octets());
        }
        _ => {
            put_mp_reach_header(reach.family, &next_hop, nlri.len(), &mut block);
            block.put_slice(&nlri);
        }
    }
    block.put_slice(attrs.bytes());
    let mut body = BytesMut::new();
    body.put_u16(0);
    body.put_u16(block.len() as u16);
    body.put_slice(&block);
    if field {
        body.put_slice(&nlri);
    }
    let context = UpdateContext { four_octet_as: true, extended_next_hop: FamilySet::ALL, ..session.context() };
    let mut update = decode_update(&body, &context).expect("our own UPDATE");
    assert!(update.faults.is_empty() && update.reach.len() == 1, "{update:?}");
    update.reach.remove(0)
}

#[test]
fn an_open_that_is_taken_has_one_encoding() {
    let session = Session::chosen(&["e4"])[0];
    let encode = |open: &Open| {
        let mut out = BytesMut::new();
        open.encode(&mut out);
        out[HEADER_LEN..].to_vec()
    };
    run("open", &corpus(&["open"], &session), 20_000, |body| {
        let Ok(open) = Open::decode(body) else { return };
        let once = encode(&open);
        let read = Open::decode(&once).expect("our own OPEN");
        assert_eq!(encode(&read), once);
    });
}

#[test]
fn the_other_messages_have_one_encoding_and_nothing_in_them_reaches_a_terminal() {
    let session = Session::chosen(&["e4"])[0];
    run("notification and refresh", &corpus(&["notification", "refresh", "header"], &session), 20_000, |body| {
        // A longer one is cut where it is sent on.
        if body.len() <= MAX_MESSAGE - HEADER_LEN
            && let Ok(notification) = Notification::decode(body)
        {
            let mut out = BytesMut::new();
            notification.encode(&mut out);
            assert_eq!(Notification::decode(&out[HEADER_LEN..]).expect("our own NOTIFICATION"), notification);
            assert!(!notification.to_string().chars().any(char::is_control), "{notification}");
        }
        for enhanced in [false, true] {
            let Ok(refresh) = RouteRefresh::decode(body, enhanced) else { continue };
            // What is to be ignored, ORF entries among it, is never sent.
            if matches!(refresh.kind, RefreshKind::Other(_)) {
                continue;
            }
            let mut out = BytesMut::new();
            refresh.encode(&mut out);
            assert_eq!(RouteRefresh::decode(&out[HEADER_LEN..], enhanced).expect("our own ROUTE-REFRESH"), refresh);
        }
    });
}

#[test]
fn any_header_is_a_message_or_an_error() {
    let session = Session::chosen(&["e4"])[0];
    let corpus: Vec<Vec<u8>> = ["M[04|]", "FF*16 1001 02", "FF*16 0012 04", "FF*64"].iter().map(|m| session.expand(m)).collect();
    run("header", &corpus, 20_000, |octets| {
        for max in [MAX_MESSAGE, MAX_EXTENDED] {
            if let Ok(Some(header)) = decode_header(octets, max) {
                assert!((HEADER_LEN..=max).contains(&usize::from(header.len)));
            }
        }
    });
}
