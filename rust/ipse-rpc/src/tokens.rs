//! API tokens: who they are, and the file that lists them.
//!
//! ```toml
//! [tokens.shop-web]                # a name, for logs
//! role = "write"                   # read, write or admin
//! workspaces = ["shop"]            # left out: all of them
//! source = "web"                   # left out: any
//! sha256 = "64 hexadecimal digits" # of the token's text
//! ```
//!
//! A token is 256 random bits, so that one hash without salt or rounds is enough: those slow
//! down guessing, and nobody guesses these. A key that is not known here is refused, since a
//! misspelt `workspaces` must not widen what a token may do. Problems name what is known here and
//! show nothing else of the text: somebody may have pasted a token anywhere in it.

use std::collections::HashMap;

use ipse_core::identifier::is_workspace_name;
use ipse_core::limits::SOURCE_BYTES_MAX;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use toml::{Table, Value};

use crate::access::Role;
use crate::limits::TOKENS_MAX;
use crate::page_token::from_hex;

const HASH_BYTES: usize = 32;
/// How much of a hash the table may be searched by. The rest is compared in constant time.
const PREFIX_BYTES: usize = 8;

/// The tokens of a server.
#[derive(Debug, Default)]
pub struct Tokens {
    by_prefix: HashMap<[u8; PREFIX_BYTES], Token>,
}

/// One token: everything about it but its text.
#[derive(Debug)]
pub(crate) struct Token {
    hash: [u8; HASH_BYTES],
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Empty: all.
    pub(crate) workspaces: Vec<String>,
    pub(crate) source: Option<String>,
}

impl Tokens {
    /// Reads the file's text; otherwise says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Tokens, String> {
        let table: Table = text.parse().map_err(|error| syntax_problem(text, &error))?;
        if table.keys().any(|key| key != "tokens") {
            return Err("there is an unknown key; known here: tokens".to_owned());
        }
        let Some(listed) = table.get("tokens") else {
            return Ok(Tokens::default());
        };
        let listed = listed.as_table().ok_or("tokens: must be a table of tokens by name")?;
        if listed.len() > TOKENS_MAX {
            return Err(format!("{} tokens, at most {TOKENS_MAX} are allowed", listed.len()));
        }
        let mut tokens = Tokens::default();
        for (name, value) in listed {
            if !is_workspace_name(name) {
                return Err("a token's name is 1 to 64 of a-z 0-9 _ -, a letter first".to_owned());
            }
            let told = |problem: String| format!("tokens.{name}: {problem}");
            tokens.add(Token::read(name, value).map_err(told)?).map_err(told)?;
        }
        Ok(tokens)
    }

    /// The token of this text.
    pub(crate) fn find(&self, text: &[u8]) -> Option<&Token> {
        let hash: [u8; HASH_BYTES] = Sha256::digest(text).into();
        let token = self.by_prefix.get(prefix(&hash))?;
        bool::from(token.hash.ct_eq(&hash)).then_some(token)
    }

    fn add(&mut self, token: Token) -> Result<(), String> {
        match self.by_prefix.insert(*prefix(&token.hash), token) {
            None => Ok(()),
            Some(other) => Err(format!("sha256: is that of {}, too", other.name)),
        }
    }
}

impl Token {
    /// What the metadata key is given.
    fn read(name: &str, value: &Value) -> Result<Token, String> {
        const KEYS: [&str; 5] = ["role", "workspaces", "source", "sha256", "created"];
        let table = value.as_table().ok_or("must be a table")?;
        if table.keys().any(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("there is an unknown key; known here: {}", KEYS.join(", ")));
        }
        Ok(Token {
            name: name.to_owned(),
            hash: hash(table.get("sha256")).ok_or("sha256: must be 64 hexadecimal digits")?,
            role: role(table.get("role")).ok_or("role: must be read, write or admin")?,
            workspaces: table.get("workspaces").map_or(Ok(Vec::new()), workspaces)?,
            source: table.get("source").map(source).transpose()?,
        })
    }
}

fn hash(value: Option<&Value>) -> Option<[u8; HASH_BYTES]> {
    from_hex(value?.as_str()?)?.try_into().ok()
}

fn role(value: Option<&Value>) -> Option<Role> {
    let name = value?.as_str()?;
    Role::ALL.into_iter().find(|role| role.name() == name)
}

fn workspaces(value: &Value) -> Result<Vec<String>, String> {
    let wrong = "workspaces: must be a list of one name or more; left out, it is all of them";
    let names = value.as_array().filter(|names| !names.is_empty()).ok_or(wrong)?;
    let name =
        |name: &Value| name.as_str().filter(|name| is_workspace_name(name)).map(str::to_owned);
    names.iter().map(name).collect::<Option<_>>().ok_or_else(|| wrong.to_owned())
}

fn source(value: &Value) -> Result<String, String> {
    let allowed = |text: &&str| (1..=SOURCE_BYTES_MAX).contains(&text.len());
    let text = value.as_str().filter(allowed).map(str::to_owned);
    text.ok_or_else(|| format!("source: must be a text of 1 to {SOURCE_BYTES_MAX} bytes"))
}

fn prefix(hash: &[u8; HASH_BYTES]) -> &[u8; PREFIX_BYTES] {
    hash.first_chunk().expect("a hash is longer than its prefix")
}

/// The line alone.
fn syntax_problem(text: &str, error: &toml::de::Error) -> String {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
    format!("line {line}: is not TOML")
}

#[cfg(test)]
mod tests {
    use ipse_core::identifier::sha256_hex;

    use super::*;

    fn listed(name: &str, text: &str, more: &str) -> String {
        format!("[tokens.{name}]\nsha256 = \"{}\"\n{more}\n", sha256_hex(text))
    }

    #[test]
    fn a_token_is_found_by_its_text_and_by_nothing_else() {
        let text = listed("one", "ipse_a", "role = \"read\"")
            + &listed("two", "ipse_b", "role = \"admin\"\nworkspaces = [\"shop\"]\nsource = \"s\"");
        let tokens = Tokens::parse(&text).expect("good tokens");
        let two = tokens.find(b"ipse_b").expect("it is listed");
        assert_eq!((two.name.as_str(), two.role), ("two", Role::Admin));
        assert_eq!(
            (two.workspaces.as_slice(), two.source.as_deref()),
            (&["shop".to_owned()][..], Some("s"))
        );
        let one = tokens.find(b"ipse_a").expect("it is listed");
        assert!(one.workspaces.is_empty() && one.source.is_none());
        for other in [&b""[..], b"ipse_A", b"ipse_a ", b"ipse_aa", b"\xff\x00", b"ipse_"] {
            assert!(tokens.find(other).is_none(), "{other:?}");
        }
        let hash = sha256_hex("ipse_a");
        assert!(tokens.find(hash.as_bytes()).is_none(), "what is stored opens nothing");
    }

    #[test]
    fn a_hash_that_only_begins_alike_opens_nothing() {
        let mut tokens = Tokens::parse(&listed("one", "ipse_a", "role = \"read\"")).expect("good");
        for token in tokens.by_prefix.values_mut() {
            token.hash[HASH_BYTES - 1] ^= 1;
        }
        assert!(tokens.find(b"ipse_a").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        let hash = format!("sha256 = \"{}\"", sha256_hex("x"));
        let good = format!("{hash}\nrole = \"read\"");
        let cases = [
            ("secret = 1".to_owned(), "there is an unknown key"),
            ("tokens = 1".to_owned(), "tokens: must be a table"),
            ("[tokens.a]\nsecret".to_owned(), "line 2: is not TOML"),
            (format!("[tokens.Secret-secret]\n{good}"), "a token's name"),
            (format!("[tokens.a]\n{hash}"), "tokens.a: role: must be"),
            (format!("[tokens.a]\n{hash}\nrole = \"Read\""), "tokens.a: role: must be"),
            ("[tokens.a]\nrole = \"read\"".to_owned(), "tokens.a: sha256: must be"),
            (
                "[tokens.a]\nrole = \"read\"\nsha256 = \"secret\"".to_owned(),
                "tokens.a: sha256: must",
            ),
            (format!("[tokens.a]\n{good}\nsecret = \"w\""), "tokens.a: there is an unknown key"),
            (format!("[tokens.a]\n{good}\nworkspaces = []"), "tokens.a: workspaces: must be"),
            (format!("[tokens.a]\n{good}\nworkspaces = [\"W\"]"), "tokens.a: workspaces: must be"),
            (format!("[tokens.a]\n{good}\nworkspaces = \"w\""), "tokens.a: workspaces: must be"),
            (format!("[tokens.a]\n{good}\nsource = \"\""), "tokens.a: source: must be"),
            (format!("[tokens.a]\n{good}\n[tokens.b]\n{good}"), "tokens.b: sha256: is that of a"),
        ];
        for (text, wanted) in cases {
            let problem = Tokens::parse(&text).expect_err(wanted);
            assert!(problem.starts_with(wanted), "{problem} is not {wanted}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
