//! What the vectors cannot show: changes of single inputs, and the trail.

use super::*;
use crate::kube::metallb::check::Objects;
use serde_json::{Value, json};

fn config() -> Arc<Config> {
    let read = |value: Value| serde_json::from_value(value).unwrap();
    let objects = Objects {
        pools: vec![Arc::new(
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/24"] } })).unwrap(),
        )],
        advertisements: vec![Arc::new(read(json!({ "metadata": { "name": "adv" }, "spec": {} })))],
        ..Objects::default()
    };
    Arc::new(Config::build(&objects, &Config::default()))
}

fn service(ip: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": { "namespace": "d", "name": "web" },
        "spec": { "type": "LoadBalancer" },
        "status": { "loadBalancer": { "ingress": [{ "ip": ip }] } },
    }))
    .unwrap()
}

fn slice(node: &str) -> EndpointSlice {
    serde_json::from_value(json!({ "endpoints": [{ "addresses": ["10.1.0.1"], "nodeName": node }] })).unwrap()
}

#[test]
fn a_service_comes_moves_and_goes() {
    let mut announcer = Announcer::new(Settings::default(), NodeFacts { name: "n1".into(), ..NodeFacts::default() });
    announcer.handle_config(config());
    let key = Key::new("d", "web");
    let slices = [slice("n2")];
    let prefixes = |announcer: &Announcer| announcer.announcements().map(|a| a.prefix.to_string()).collect::<Vec<_>>();
    announcer.handle_service(&key, Some((&service("10.0.0.1"), &mut slices.iter())));
    assert_eq!(prefixes(&announcer), ["10.0.0.1/32"]);
    announcer.handle_service(&key, Some((&service("10.0.0.2"), &mut slices.iter())));
    assert_eq!(prefixes(&announcer), ["10.0.0.2/32"]);
    announcer.handle_service(&key, Some((&service("10.0.0.2"), &mut [].iter())));
    assert!(prefixes(&announcer).is_empty());
    let explanation = announcer.explain(&key).unwrap();
    let stages: Vec<_> = explanation.steps.iter().map(|step| (step.stage, step.pass)).collect();
    assert_eq!(
        stages,
        [("service", true), ("address", true), ("pool", true), ("advertisement", true), ("node", true), ("endpoints", false)]
    );
    assert_eq!((explanation.reason, explanation.remedy), (Reason::NoEndpoints, Reason::NoEndpoints.remedy()));
    let events: Vec<_> = std::iter::from_fn(|| announcer.poll_event()).map(|event| event.reason).collect();
    assert_eq!(events, ["nodeAssigned", "NotAnnounced"], "each change is told once");
    announcer.handle_service(&key, None);
    assert_eq!(announcer.explain(&key), None);
}
