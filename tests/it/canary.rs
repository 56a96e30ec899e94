//! Nothing that must stay inside comes out: what a secret could look like, everything that was said and stored, and a
//! search of the one for the other.

mod questions;
mod secrets;

pub(crate) use secrets::{a_run, tables};

use std::collections::BTreeSet;

use crate::fleet::Said;

/// What must not be found, with everything it could look like.
pub(crate) struct Canaries(Vec<(String, Vec<String>)>);

impl Canaries {
    pub(crate) fn of(secrets: &[(&str, &str)]) -> Canaries {
        let forms = |secret: &str| {
            // Half a secret is one, too.
            let pieces: BTreeSet<&str> = if secret.len() > 48 {
                [
                    &secret[..24],
                    &secret[secret.len() / 2..][..24],
                    &secret[secret.len() - 24..],
                ]
                .into()
            } else {
                [secret].into()
            };
            let forms = pieces.into_iter().flat_map(|piece| {
                let bytes: Vec<String> = piece.bytes().map(|b| b.to_string()).collect();
                let json = serde_json::to_string(piece).unwrap();
                let escaped: String = piece
                    .encode_utf16()
                    .map(|u| format!("\\u{u:04x}"))
                    .collect();
                let mut forms = vec![
                    piece.to_owned(),
                    json.trim_matches('"').to_owned(),
                    escaped,
                    percent(piece),
                    percent(piece).to_lowercase(),
                    bytes.join(", "),
                    bytes.join(","),
                    hex(piece),
                    hex(piece).to_uppercase(),
                ];
                forms.extend(base64(piece));
                forms
            });
            forms.collect::<BTreeSet<String>>().into_iter().collect()
        };
        Canaries(
            secrets
                .iter()
                .map(|(name, secret)| ((*name).to_owned(), forms(secret)))
                .collect(),
        )
    }

    /// The secrets in this text, by name.
    fn found(&self, text: &str) -> Vec<&str> {
        let found = self
            .0
            .iter()
            .filter(|(_, forms)| forms.iter().any(|form| text.contains(form)));
        found.map(|(name, _)| name.as_str()).collect()
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

/// The middle of the text's base64 at each of the three places it can start at in a longer text, in both alphabets.
fn base64(text: &str) -> Vec<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut all = Vec::new();
    for before in 0..3 {
        let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(text.bytes()).collect();
        let bits: Vec<bool> = bytes
            .iter()
            .flat_map(|b| (0..8).rev().map(move |n| b >> n & 1 == 1))
            .collect();
        let encoded: String = bits
            .chunks_exact(6)
            .map(|six| char::from(ALPHABET[six.iter().fold(0, |n, bit| n * 2 + usize::from(*bit))]))
            .skip(before + usize::from(before > 0))
            .collect();
        all.push(encoded.replace('+', "-").replace('/', "_"));
        all.push(encoded);
    }
    all
}

/// Everything said and stored, by where it was found.
#[derive(Default)]
pub(crate) struct Heard(Vec<(String, String)>);

impl Heard {
    pub(crate) fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    pub(crate) fn said(&mut self, place: &str, said: &Said) {
        self.add(format!("{place}, stdout"), &*said.out);
        self.add(format!("{place}, stderr"), &*said.err);
    }

    /// All of it, each with its place.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(place, text)| (&**place, &**text))
    }

    pub(crate) fn assert_free_of(&self, canaries: &Canaries) {
        let mut leaks = String::new();
        let mut seen = BTreeSet::new();
        let lines = self
            .0
            .iter()
            .flat_map(|(place, text)| text.lines().map(move |line| (place, line)));
        for (place, line) in lines.filter(|(_, line)| seen.insert(*line)) {
            for name in canaries.found(line) {
                let shown: String = line.chars().take(1500).collect();
                leaks += &format!("\n{name} in {place}: {shown}");
            }
        }
        assert!(leaks.is_empty(), "{leaks}");
    }
}
