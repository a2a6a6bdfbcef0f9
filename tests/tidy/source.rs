//! A Rust file as the checks see it: comments and strings blanked out, test code marked, functions found.
//!
//! This reads tokens, not grammar: enough for a file that `rustfmt` has laid out, and no more.

use std::ops::Range;
use std::path::Path;

/// One file, by its path from the root of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with the insides of comments, strings and test items replaced by spaces: same bytes, same lines.
    pub(crate) code: String,
    /// The bytes of items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
}

/// A function with a body or a signature of its own.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// From its visibility to the brace that opens its body, without comments.
    pub(crate) signature: String,
    /// The line of the word `fn`, from 1.
    pub(crate) line: usize,
    pub(crate) lines: usize,
    /// Documentation and attributes above it.
    pub(crate) docs: String,
}

impl Function {
    /// Visible outside the crate, as far as its own line says.
    pub(crate) fn is_public(&self) -> bool {
        self.signature.starts_with("pub ")
    }

    pub(crate) fn is_async(&self) -> bool {
        self.signature.split("fn ").next().is_some_and(|words| words.contains("async "))
            || self.returns().starts_with("impl Future")
    }

    /// What stands after the arrow, or nothing.
    pub(crate) fn returns(&self) -> &str {
        let name = self.signature.find("fn ").map_or(0, |at| at + "fn ".len());
        let (mut angles, mut rounds, mut last) = (0_i32, 0_i32, ' ');
        for (at, c) in self.signature.char_indices().skip_while(|&(at, _)| at < name) {
            match c {
                '<' => angles += 1,
                '>' if last != '-' => angles -= 1,
                '(' => rounds += 1,
                ')' => rounds -= 1,
                _ => {}
            }
            if c == ')' && rounds == 0 && angles == 0 {
                return self.signature[at + 1..].trim_start().strip_prefix("-> ").unwrap_or("");
            }
            last = c;
        }
        ""
    }
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let mut code = blanked(&text);
        let tests = test_items(&code);
        for range in &tests {
            let blank: String = blank(&code[range.clone()]);
            code.replace_range(range.clone(), &blank);
        }
        Self { path, text, code, tests }
    }

    pub(crate) fn read(root: &Path, path: &str) -> Self {
        let text = std::fs::read_to_string(root.join(path));
        Self::new(path, text.unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        line(&self.text, at)
    }

    /// Lines that are not test code.
    pub(crate) fn lines(&self) -> usize {
        let tests = self.tests.iter().map(|range| self.text[range.clone()].lines().count());
        self.text.lines().count() - tests.sum::<usize>()
    }

    /// Where a word stands in the code, not as a part of a longer name.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// Every function outside of test code.
    pub(crate) fn functions(&self) -> Vec<Function> {
        self.words("fn").filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let name: String =
            self.code[at + 2..].trim_start().chars().take_while(|&c| is_name(c)).collect();
        if name.is_empty() {
            return None; // `fn(u8) -> u8`, a type
        }
        let opens = at + body(&self.code[at..])?;
        let ends = match self.code.as_bytes()[opens] {
            b'{' => opens + closing(&self.code[opens..])?,
            _ => opens,
        };
        let begins = self.code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let signature: Vec<_> = self.code[begins..opens].split_whitespace().collect();
        let (first, last) = (self.line(at), self.line(ends));
        let docs = docs_above(&self.text, first);
        let signature = signature.join(" ");
        Some(Function { name, signature, line: first, lines: last - first + 1, docs })
    }
}

/// Where a word stands in a text, not as a part of a longer name.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let (before, after) = (text[..at].chars().next_back(), &text[at + word.len()..]);
        !before.is_some_and(is_name) && !after.chars().next().is_some_and(is_name)
    })
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The text with the insides of comments, strings and characters replaced by spaces.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = raw_string(rest).filter(|_| !code.ends_with(is_name)) {
            len
        } else if c == '"' {
            string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push_str(&blank(&rest[..len]));
        rest = &rest[len..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - after.len() + hashes + 1;
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'a'` and `'\n'`; a lifetime is left as it is, which is one quote.
fn character(text: &str) -> usize {
    let inside = &text[1..];
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map_or(text.len(), |at| at + 4);
    }
    let len = inside.chars().next().map_or(0, char::len_utf8);
    if inside[len..].starts_with('\'') { len + 2 } else { 1 }
}

/// The items that `#[cfg(test)]` stands on, from the attribute to the end of the item.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        if items.last().is_some_and(|item| item.contains(&at)) {
            continue;
        }
        let after = at + attribute.len();
        let Some(opens) = body(&code[after..]).map(|opens| after + opens) else { continue };
        let ends = match code.as_bytes()[opens] {
            b'{' => closing(&code[opens..]).map_or(code.len() - 1, |ends| opens + ends),
            _ => opens,
        };
        items.push(at..ends + 1);
    }
    items
}

/// The first `{` or `;` that is not inside brackets.
fn body(code: &str) -> Option<usize> {
    let mut depth = 0_i32;
    code.bytes().position(|byte| {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(byte, b'{' | b';')
    })
}

/// The brace that closes the one that the text begins with.
fn closing(code: &str) -> Option<usize> {
    let mut depth = 0_i32;
    code.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// The documentation and attributes above a line.
fn docs_above(text: &str, line: usize) -> String {
    let lines: Vec<_> = text.lines().take(line - 1).collect();
    let above = lines.iter().rev().take_while(|line| {
        let line = line.trim_start();
        line.starts_with("///") || line.starts_with('#') || line.starts_with("//")
    });
    let mut docs: Vec<_> = above.copied().collect();
    docs.reverse();
    docs.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked_and_lifetimes_stay() {
        let code = |text| Source::new("a.rs", text).code;
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ d */ e"), format!("a{}e", " ".repeat(19)));
        assert_eq!(code(r#"f("x\"y", z)"#), "f(      , z)");
        assert_eq!(code(r##"f(r#"x"y"#, z)"##), "f(        , z)");
        assert_eq!(code(r"f('{', '\'', b'\n', z)"), "f(   ,     , b    , z)");
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f< a>(x: & a str)");
    }

    #[test]
    fn test_items_are_neither_code_nor_counted() {
        let text = "fn f() {}\n#[cfg(test)]\nuse a;\n#[cfg(test)]\nmod tests {\n    fn g() { { } }\n}\nfn h() {}\n";
        let source = Source::new("a.rs", text);
        let names: Vec<_> = source.functions().into_iter().map(|function| function.name).collect();
        assert_eq!(names, ["f", "h"]);
        assert_eq!(source.lines(), 2);
    }

    #[test]
    fn functions_are_found_with_docs_signature_and_length() {
        let text = "impl A {\n    /// One.\n    #[must_use]\n    pub async fn go(\n        &self,\n        f: fn(u8) -> [u8; 2],\n    ) -> Result<(), E>\n    where\n        A: B,\n    {\n        if x { y }\n    }\n}\n";
        let functions = Source::new("a.rs", text).functions();
        let [go] = functions.as_slice() else { panic!("{functions:?}") };
        assert_eq!((go.name.as_str(), go.line, go.lines), ("go", 4, 9));
        assert!(go.docs.contains("One.") && go.docs.contains("must_use"));
        assert!(go.is_public() && go.is_async());
        assert_eq!(go.returns(), "Result<(), E> where A: B,");
        let generic = "fn f<F: Fn(u8) -> (u8, u8)>(f: F) -> Option<u8> {}";
        assert_eq!(Source::new("a.rs", generic).functions()[0].returns(), "Option<u8>");
    }
}
