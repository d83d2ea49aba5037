//! The description and the router say the same.

use std::collections::BTreeSet;

use utoipa::OpenApi;

use super::{ADMIN, ApiDoc, GLASS, GLASS_LISTS, PUBLIC};

/// `{*prefix}` takes slashes; in OpenAPI the parameter is `{prefix}`.
fn routed() -> BTreeSet<(String, String)> {
    PUBLIC.iter().chain(ADMIN).map(|(method, path)| ((*method).to_owned(), path.replace("{*", "{"))).collect()
}

#[test]
fn every_route_is_described_and_every_description_routed() {
    let document = serde_json::to_value(ApiDoc::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> =
        paths.iter().flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))).collect();
    assert_eq!(described, routed());
}

/// The looking glass shows what the description says, and changes nothing.
#[test]
fn the_glass_reads_what_is_described() {
    for (method, path) in GLASS.iter().chain(GLASS_LISTS) {
        let original = path.strip_prefix("/lg").expect("below /lg");
        assert_eq!(*method, "get", "{path}");
        assert!(ADMIN.contains(&("get", original)), "{path}");
    }
}

/// Each reference leads somewhere.
#[test]
fn schemas_are_complete() {
    fn references(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", serde_json::Value::String(target)) => {
                    found.insert(target.trim_start_matches("#/components/schemas/").to_owned());
                }
                _ => references(value, found),
            }),
            serde_json::Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(ApiDoc::openapi()).unwrap();
    let defined: BTreeSet<String> = document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    assert_eq!(used.difference(&defined).collect::<Vec<_>>(), Vec::<&String>::new());
}
