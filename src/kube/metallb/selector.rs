//! Label selectors with the semantics of the Kubernetes API: inside one all terms hold, of a list any one.

use super::objects::{LabelSelector, Requirement};
use std::collections::{BTreeMap, BTreeSet};

pub type Labels = BTreeMap<String, String>;

/// A checked `LabelSelector`; without terms it selects everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Term {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    /// Fails with what is wrong: unknown operators, values where none belong, repetitions.
    pub fn new(written: &LabelSelector) -> Result<Self, String> {
        let mut terms: Vec<Term> =
            written.match_labels.iter().map(|(key, value)| Term::In(key.clone(), BTreeSet::from([value.clone()]))).collect();
        for (i, requirement) in written.match_expressions.iter().enumerate() {
            if written.match_expressions.iter().take(i).any(|earlier| earlier == requirement) {
                return Err(format!("matchExpressions[{i}] is written twice"));
            }
            terms.push(Term::new(requirement).map_err(|why| format!("matchExpressions[{i}] {why}"))?);
        }
        if let Some(key) = written.unknown.keys().next() {
            return Err(format!("has the unknown key `{key}`"));
        }
        Ok(Self { terms })
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.terms.iter().all(|term| term.holds(labels))
    }
}

impl Term {
    fn new(requirement: &Requirement) -> Result<Self, String> {
        let Requirement { key, operator, values, unknown } = requirement;
        let set: BTreeSet<String> = values.iter().cloned().collect();
        if key.is_empty() {
            return Err("has no key".to_owned());
        }
        if let Some(other) = unknown.keys().next() {
            return Err(format!("has the unknown key `{other}`"));
        }
        if set.len() < values.len() {
            return Err(format!("has a value of `{key}` twice"));
        }
        match (operator.as_str(), set.is_empty()) {
            ("In", false) => Ok(Self::In(key.clone(), set)),
            ("NotIn", false) => Ok(Self::NotIn(key.clone(), set)),
            ("Exists", true) => Ok(Self::Exists(key.clone())),
            ("DoesNotExist", true) => Ok(Self::DoesNotExist(key.clone())),
            ("In" | "NotIn", true) => Err(format!("has no values for operator {operator}")),
            ("Exists" | "DoesNotExist", false) => Err(format!("has values, which operator {operator} does not take")),
            _ => Err(format!("has the unknown operator `{operator}`; use In, NotIn, Exists or DoesNotExist")),
        }
    }

    /// A missing label satisfies `NotIn`, as in the API.
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

/// A list of selectors: any one suffices. What an empty list means is for the field to say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selectors(pub Vec<Selector>);

impl Selectors {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn any(&self, labels: &Labels) -> bool {
        self.0.iter().any(|selector| selector.matches(labels))
    }

    /// For the fields where an empty list does not restrict.
    pub fn any_or_empty(&self, labels: &Labels) -> bool {
        self.is_empty() || self.any(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selector(value: serde_json::Value) -> Result<Selector, String> {
        Selector::new(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn terms_are_joined_by_and() {
        let labels = Labels::from([("rack".into(), "a".into()), ("zone".into(), "1".into())]);
        for (value, expected) in [
            (json!({}), true),
            (json!({"matchLabels": {"rack": "a"}}), true),
            (json!({"matchLabels": {"rack": "a", "zone": "2"}}), false),
            (json!({"matchExpressions": [{"key": "rack", "operator": "In", "values": ["a", "b"]}]}), true),
            (json!({"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "gone", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "gone", "operator": "In", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "rack", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "rack", "operator": "DoesNotExist"}]}), false),
            (json!({"matchLabels": {"rack": "a"}, "matchExpressions": [{"key": "gone", "operator": "Exists"}]}), false),
        ] {
            assert_eq!(selector(value.clone()).unwrap().matches(&labels), expected, "{value}");
        }
    }

    #[test]
    fn lists_are_joined_by_or_and_an_empty_one_is_neutral() {
        let labels = Labels::from([("rack".into(), "a".into())]);
        let [a, b] = ["a", "b"].map(|rack| selector(json!({"matchLabels": {"rack": rack}})).unwrap());
        assert!(Selectors(vec![b.clone(), a]).any(&labels));
        assert!(!Selectors(vec![b]).any_or_empty(&labels));
        assert!(!Selectors::default().any(&labels) && Selectors::default().any_or_empty(&labels));
    }

    #[test]
    fn what_the_api_would_refuse_is_refused() {
        for (value, word) in [
            (json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["a"]}]}), "operator"),
            (json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), "no values"),
            (json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["a"]}]}), "does not take"),
            (json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["a", "a"]}]}), "twice"),
            (json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}), "twice"),
            (json!({"matchExpressions": [{"operator": "Exists"}]}), "no key"),
            (json!({"matchFields": []}), "unknown key"),
        ] {
            assert!(selector(value.clone()).unwrap_err().contains(word), "{value}");
        }
    }
}
