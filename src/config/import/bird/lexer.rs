//! BIRD's text as statements: words up to a `;`, or up to a block in braces that holds statements again.

/// One statement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Statement {
    /// Where it begins, from 1.
    pub line: usize,
    words: Vec<String>,
    /// What its braces hold.
    pub body: Vec<Statement>,
}

impl Statement {
    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// For remarks.
    pub fn text(&self) -> String {
        let words = self.words.join(" ");
        if self.body.is_empty() { words } else { format!("{words} {{ … }}") }
    }
}

struct Token {
    line: usize,
    text: String,
}

pub(super) fn parse(text: &str) -> Result<Vec<Statement>, String> {
    let tokens = tokens(text)?;
    let mut at = 0;
    let statements = block(&tokens, &mut at, false)?;
    Ok(statements)
}

/// Statements up to the end of the block, or of the file.
fn block(tokens: &[Token], at: &mut usize, is_inner: bool) -> Result<Vec<Statement>, String> {
    let mut statements = Vec::new();
    let mut statement = Statement::default();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.text.as_str() {
            ";" => statements.extend(Some(std::mem::take(&mut statement)).filter(|s| !s.words.is_empty())),
            "{" => {
                statement.line = if statement.words.is_empty() { token.line } else { statement.line };
                statement.body = block(tokens, at, true)?;
                statements.push(std::mem::take(&mut statement));
            }
            "}" if is_inner => {
                statements.extend(Some(statement).filter(|s| !s.words.is_empty()));
                return Ok(statements);
            }
            "}" => return Err(format!("line {}: a `}}` without its `{{`", token.line)),
            word => {
                if statement.words.is_empty() {
                    statement.line = token.line;
                }
                statement.words.push(word.to_owned());
            }
        }
    }
    if is_inner {
        return Err("a `{` is never closed".to_owned());
    }
    statements.extend(Some(statement).filter(|s| !s.words.is_empty()));
    Ok(statements)
}

/// Words, strings without their quotes, and marks. What stands in `[ … ]` or `( … )` is one word.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' => {
                line += 1;
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                rest.find("*/").map(|end| end + 2).ok_or_else(|| format!("line {line}: a comment does not end"))?
            }
            '"' => {
                let end = rest.get(1..).and_then(|rest| rest.find('"')).ok_or_else(|| format!("line {line}: a string does not end"))?;
                tokens.push(Token { line, text: rest.get(1..=end).unwrap_or_default().to_owned() });
                end + 2
            }
            '[' | '(' => {
                let end = closing(rest).ok_or_else(|| format!("line {line}: `{first}` is never closed"))?;
                let inner: String = rest.get(..end).unwrap_or_default().split_whitespace().collect();
                tokens.push(Token { line, text: inner });
                end
            }
            '{' | '}' | ';' | '=' | '~' | ',' => {
                tokens.push(Token { line, text: first.to_string() });
                1
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "{};=~,[(\"#".contains(c);
                let end = rest.find(is_end).unwrap_or(rest.len()).max(first.len_utf8());
                tokens.push(Token { line, text: rest.get(..end).unwrap_or_default().to_owned() });
                end
            }
        };
        let (passed, left) = rest.split_at(length);
        if first != '\n' {
            line += passed.matches('\n').count();
        }
        rest = left;
    }
    Ok(tokens)
}

/// Behind the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + c.len_utf8());
        }
    }
    None
}
