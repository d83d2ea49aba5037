//! What is made of configurations as people have them.

use super::{Imported, bird, frr};
use crate::config::Plan;
use crate::config::check::Host;
use crate::config::plan::SecretSource;

/// Where passwords have been written to their files.
struct Prepared;

impl Host for Prepared {
    fn secret(&self, _: &SecretSource) -> Result<Vec<u8>, String> {
        Ok(b"s3cret".to_vec())
    }

    fn router_id(&self) -> Option<std::net::Ipv4Addr> {
        Some([10, 9, 9, 9].into())
    }
}

/// The printed configuration is good.
fn plan(imported: &Imported) -> Plan {
    let plan = crate::config::load_text("kubgp.yaml", &imported.configuration, &[], &Prepared);
    plan.unwrap_or_else(|e| panic!("{}\n{}", e.render(false), imported.configuration))
}

fn shown(imported: &Imported) -> String {
    let remarks: String = imported.remarks.iter().map(|remark| format!("{remark}\n")).collect();
    format!("{remarks}---\n{}", imported.configuration)
}

#[test]
fn frr_configuration_with_everything_of_the_common_subset() {
    let imported = frr(include_str!("tests/frr.conf")).unwrap();
    insta::assert_snapshot!("frr", shown(&imported));
    let plan = plan(&imported);
    assert_eq!((plan.peers.len(), plan.dynamic.len(), plan.networks.len()), (3, 1, 2));
    assert!(!imported.is_complete());
    assert!(!shown(&imported).contains("s3cret"), "passwords stay where they are");
}

#[test]
fn bird_configuration_with_everything_of_the_common_subset() {
    let imported = bird(include_str!("tests/bird.conf")).unwrap();
    insta::assert_snapshot!("bird", shown(&imported));
    let plan = plan(&imported);
    assert_eq!((plan.peers.len(), plan.dynamic.len(), plan.networks.len()), (3, 1, 1));
    assert!(!shown(&imported).contains("s3cret"), "passwords stay where they are");
}

/// Those of the lab, which real daemons run.
#[test]
fn configurations_of_the_lab() {
    let node = frr(include_str!("../../../proto-tests/lab.d/node3.frr.conf")).unwrap();
    assert!(node.is_complete(), "{:?}", node.remarks);
    assert_eq!((plan(&node).peers.len(), plan(&node).networks.len()), (2, 1));
    let tor = frr(include_str!("../../../proto-tests/lab.d/tor.frr.conf")).unwrap();
    assert!(tor.is_complete() && tor.configuration.contains("accept-all"), "{}", tor.configuration);
    assert_eq!(plan(&tor).peers.len(), 2);
    let calico = bird(include_str!("../../../proto-tests/lab.d/node2.bird.conf")).unwrap();
    let made = plan(&calico);
    assert_eq!((made.peers.len(), made.networks.len()), (2, 1));
    let rules = &made.policies["calico_export_to_bgp_peers"].definition;
    assert_eq!(rules.len(), 4, "{}", calico.configuration);
}

/// Whatever a line says: it is in the result, or it is named.
#[test]
fn no_line_is_dropped() {
    let text = include_str!("tests/frr.conf");
    let imported = frr(text).unwrap();
    let odd: Vec<usize> = (1..).zip(text.lines()).filter(|(_, line)| line.contains("odd")).map(|(number, _)| number).collect();
    let named: Vec<usize> = imported.remarks.iter().filter(|remark| remark.written.contains("odd")).map(|remark| remark.line).collect();
    assert_eq!(named, odd);
    let text = include_str!("tests/bird.conf");
    let imported = bird(text).unwrap();
    let odd: Vec<usize> = (1..).zip(text.lines()).filter(|(_, line)| line.contains("odd")).map(|(number, _)| number).collect();
    let named: Vec<usize> = imported.remarks.iter().filter(|remark| remark.written.contains("odd")).map(|remark| remark.line).collect();
    assert_eq!(named, odd);
}

#[test]
fn other_texts_are_refused() {
    assert!(frr("hostname x\n").unwrap_err().contains("router bgp"));
    assert!(bird("router id 1.2.3.4;\n").unwrap_err().contains("protocol bgp"));
    assert!(bird("protocol bgp a { local as 1;").unwrap_err().contains("never closed"));
    assert!(bird("}").unwrap_err().contains("line 1"));
    assert!(bird("log \"x;\n").unwrap_err().contains("does not end"));
}
