//! The JSON Schema of the file for editors, out of the types that read it. `UPDATE_SCHEMA=1` writes it.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::file::File;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/kubgp.schema.json");

fn generated() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = Some("https://json-schema.org/draft/2020-12/schema".into());
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    let root = schema.as_object_mut().expect("an object");
    root.insert("$id".to_owned(), "https://kubgp.io/v1/config.schema.json".into());
    root.insert("title".to_owned(), "Configuration of kubgpd".into());
    root.insert("required".to_owned(), serde_json::json!(["apiVersion"]));
    without_nulls(&mut schema);
    schema
}

/// An optional key is left out, never null.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    fields.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [one] = choices.as_slice() {
                    let one = one.clone();
                    fields.remove("anyOf");
                    for (key, value) in one.as_object().into_iter().flatten() {
                        fields.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
            }
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Takes descriptions away, but no key of that name.
fn without_words(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, value| key != "description" || !value.is_string());
            fields.values_mut().for_each(without_words);
        }
        Value::Array(items) => items.iter_mut().for_each(without_words),
        _ => {}
    }
}

#[test]
fn the_shipped_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&generated()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(PATH, &text).expect("the schema can be written");
    }
    let shipped = std::fs::read_to_string(PATH).expect("the schema is shipped");
    let mut shipped: Value = serde_json::from_str(&shipped).expect("the shipped schema is JSON");
    let mut known = generated();
    // Words may be better by now; keys, types and choices are not.
    without_words(&mut shipped);
    without_words(&mut known);
    assert!(shipped == known, "the types of the file have changed: UPDATE_SCHEMA=1 writes {PATH}");
}

#[test]
fn the_schema_knows_keys_words_and_forms() {
    let schema = generated();
    let definition = |name: &str| schema["$defs"][name].clone();
    let neighbor = definition("Neighbor");
    assert_eq!(neighbor["additionalProperties"], false);
    for key in ["holdTime", "routeReflectorClient", "password", "maxPrefixes", "import"] {
        assert!(neighbor["properties"][key].is_object(), "{key}");
    }
    assert_eq!(definition("Install")["enum"], serde_json::json!(["none", "best", "ecmp"]));
    assert_eq!(definition("Asn")["type"], serde_json::json!(["integer", "string"]));
    assert_eq!(definition("Period")["type"], "string");
    assert!(definition("PrefixEntry")["anyOf"].is_array());
    assert!(!schema.to_string().contains("\"null\""));
}
