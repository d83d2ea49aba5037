//! Pages with generated parts, each between two comments that name it.

use super::{at, read};

/// Compares the parts of a page with what they should be, or with `UPDATE_DOCS` in the environment writes them.
pub fn hold(path: &str, parts: &[(&str, String)]) {
    let old = read(path);
    let mut new = old.clone();
    for (name, text) in parts {
        let (start, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
        let from = new.find(&start).unwrap_or_else(|| panic!("{path} has no line {start:?}")) + start.len();
        let to = from + new[from..].find(&end).unwrap_or_else(|| panic!("{path} has no {end:?}"));
        new.replace_range(from..to, &format!("\n{}\n\n", text.trim()));
    }
    if old == new {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(at(path), new).unwrap();
        return;
    }
    let (line, (was, is)) = old.lines().zip(new.lines()).enumerate().find(|(_, (was, is))| was != is).unwrap_or((0, ("", "")));
    panic!("{path} is not what the code says, from line {}:\n  page: {was}\n  code: {is}\nUPDATE_DOCS=1 cargo test --test docs", line + 1);
}

/// A table in Markdown; what would end a cell is escaped.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(ToString::to_string).collect());
    text += &line(vec!["---".to_owned(); head.len()]);
    for row in rows {
        assert_eq!(row.len(), head.len());
        text += &line(row.into_iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect());
    }
    text
}

pub fn code(word: &str) -> String {
    format!("`{word}`")
}
