//! A monitoring station that understands BMP with another implementation's parser.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bgpkit_parser::models::BgpMessage;
use bgpkit_parser::parser::bmp::messages::{BmpMessage, BmpMessageBody, BmpPeerType};
use bgpkit_parser::parser::bmp::parse_bmp_msg;

use crate::setup::{Net, eventually};
use crate::{A, RR};

/// What arrived, in words: the kind, whose routes, and what of them.
type Heard = Arc<Mutex<Vec<String>>>;

fn words(message: &BmpMessage) -> String {
    let whose = message.per_peer_header.as_ref().map(|peer| match peer.peer_type {
        BmpPeerType::LocalRib => "loc-rib".to_owned(),
        _ => format!("{} AS {}", peer.peer_ip, peer.peer_asn),
    });
    let whose = whose.unwrap_or_default();
    match &message.message_body {
        BmpMessageBody::InitiationMessage(_) => "initiation".to_owned(),
        BmpMessageBody::PeerUpNotification(_) => format!("up {whose}"),
        BmpMessageBody::PeerDownNotification(_) => format!("down {whose}"),
        BmpMessageBody::StatsReport(report) => format!("statistics {whose} {:?}", report.counters.first().map(|c| c.stat_data.clone())),
        BmpMessageBody::TerminationMessage(_) => "termination".to_owned(),
        BmpMessageBody::RouteMonitoring(routes) => match &routes.bgp_message {
            BgpMessage::Update(update) => {
                let prefixes =
                    |list: &[bgpkit_parser::models::NetworkPrefix]| list.iter().map(|p| p.prefix.to_string()).collect::<Vec<_>>();
                format!("routes {whose} +{:?} -{:?}", prefixes(&update.announced_prefixes), prefixes(&update.withdrawn_prefixes))
            }
            other => format!("{whose}: {other:?}"),
        },
        BmpMessageBody::RouteMirroring(_) => "mirroring".to_owned(),
    }
}

fn listen(mut stream: TcpStream, heard: &Heard) {
    let mut header = [0; 6];
    while stream.read_exact(&mut header).is_ok() {
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let mut message = header.to_vec();
        message.resize(length, 0);
        if stream.read_exact(&mut message[6..]).is_err() {
            return;
        }
        let parsed = parse_bmp_msg(&mut message.into()).unwrap_or_else(|e| panic!("{e:?}"));
        heard.lock().expect("nobody panics with it").push(words(&parsed));
    }
}

#[test]
fn a_station_hears_of_sessions_tables_and_changes() {
    let net = Net::new(18);
    let station = TcpListener::bind((net.ip(99), 0)).unwrap();
    let port = station.local_addr().unwrap().port();
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    std::thread::spawn(move || station.incoming().flatten().for_each(|stream| listen(stream, &hears)));
    let bmp = format!("bmp: {{ stations: [{{ address: {}, port: {port} }}] }}\n", net.ip(99));
    let clients = net.neighbor("a", RR, A, "asn: internal, routeReflectorClient: true");
    let rr = net.start(RR, &net.config(RR, 64512, &clients, &bmp));
    let own = Net::originate("{ prefix: 198.51.100.0/24, nextHop: 10.8.8.8 }");
    let a = net.start(A, &net.config(A, 64512, &net.neighbor("rr", A, RR, "asn: internal"), &own));
    rr.established("a");
    let has = |line: &str| eventually(line, || heard.lock().unwrap().iter().any(|said| said == line).then_some(()));
    let peer = format!("{} AS 64512", net.ip(A));
    has("initiation");
    has("up loc-rib");
    has(&format!("up {peer}"));
    has(&format!("routes {peer} +[\"198.51.100.0/24\"] -[]"));
    has("routes loc-rib +[\"198.51.100.0/24\"] -[]");
    a.ok("network add 192.0.2.0/24 nexthop 10.1.1.1");
    has(&format!("routes {peer} +[\"192.0.2.0/24\"] -[]"));
    a.ok("network delete 192.0.2.0/24");
    has(&format!("routes {peer} +[] -[\"192.0.2.0/24\"]"));
    has("routes loc-rib +[] -[\"192.0.2.0/24\"]");
    let row = rr.items("bmp status")[0].clone();
    assert_eq!((row["connected"].as_bool(), row["port"].as_u64()), (Some(true), Some(u64::from(port))));
    rr.ok("neighbor a down");
    has(&format!("down {peer}"));
    has("routes loc-rib +[] -[\"198.51.100.0/24\"]");
    // The station goes from the configuration, and comes back.
    let config = std::fs::read_to_string(&rr.file).unwrap();
    rr.write(&config.replace(&bmp, ""));
    rr.ok("reload");
    assert!(rr.items("bmp status").is_empty());
}
