//! Label and field selectors of list and watch.

use serde_json::Value;

/// Which objects a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

impl Selector {
    pub fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let labels = split(labels).iter().map(|term| Requirement::label(term)).collect::<Result<_, _>>()?;
        let fields = split(fields).iter().map(|term| Requirement::equality(term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        let field = |path: &str| object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str).or(Some(""));
        self.labels.iter().all(|r| r.holds(label(&r.key))) && self.fields.iter().all(|r| r.holds(field(&r.key)))
    }
}

impl Requirement {
    fn label(term: &str) -> Result<Self, String> {
        for (word, make) in [(" notin ", Test::NotIn as fn(Vec<String>) -> Test), (" in ", Test::In)] {
            if let Some((key, set)) = term.split_once(word) {
                let set =
                    set.trim().strip_prefix('(').and_then(|s| s.strip_suffix(')')).ok_or_else(|| format!("{term}: expected a set"))?;
                let set = set.split(',').map(|v| v.trim().to_owned()).collect();
                return Ok(Self { key: key.trim().to_owned(), test: make(set) });
            }
        }
        if term.contains('=') {
            return Self::equality(term);
        }
        Ok(match term.strip_prefix('!') {
            Some(key) => Self { key: key.trim().to_owned(), test: Test::Missing },
            None => Self { key: term.to_owned(), test: Test::Exists },
        })
    }

    fn equality(term: &str) -> Result<Self, String> {
        let one = |value: &str| vec![value.trim().to_owned()];
        if let Some((key, value)) = term.split_once("!=") {
            return Ok(Self { key: key.trim().to_owned(), test: Test::NotIn(one(value)) });
        }
        let (key, value) = term.split_once("==").or_else(|| term.split_once('=')).ok_or_else(|| format!("{term}: expected key=value"))?;
        Ok(Self { key: key.trim().to_owned(), test: Test::In(one(value)) })
    }

    fn holds(&self, value: Option<&str>) -> bool {
        match &self.test {
            Test::In(set) => value.is_some_and(|v| set.iter().any(|s| s == v)),
            Test::NotIn(set) => value.is_none_or(|v| set.iter().all(|s| s != v)),
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
        }
    }
}

/// At commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            terms.push(String::new());
        } else if let Some(last) = terms.last_mut() {
            last.push(c);
        }
    }
    terms.iter().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
}
