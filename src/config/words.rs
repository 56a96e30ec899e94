//! The two languages, and sentences that exist in both.
//!
//! A sentence is written down in English and Chinese side by side, where its reason is known. So no
//! sentence can exist in one language only, and no key has to be looked up in a second file.

use std::borrow::Cow;

use crate::lang::Lang;

/// One sentence, or part of one, in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub en: Cow<'static, str>,
    pub zh: Cow<'static, str>,
}

impl Words {
    pub const fn new(en: &'static str, zh: &'static str) -> Self {
        Self {
            en: Cow::Borrowed(en),
            zh: Cow::Borrowed(zh),
        }
    }

    /// Text that reads the same in both languages: a name, a number, a path.
    pub fn same(text: impl Into<String>) -> Self {
        let text: Cow<'static, str> = Cow::Owned(text.into());
        Self {
            en: text.clone(),
            zh: text,
        }
    }

    pub fn in_lang(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

/// [`Words`] from two format strings, English first.
macro_rules! words {
    ($en:literal, $zh:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::config::words::Words {
            en: format!($en $(, $name = $value.en)*).into(),
            zh: format!($zh $(, $name = $value.zh)*).into(),
        }
    };
}
pub(crate) use words;

/// The known name most like a mistyped one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&typed, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        // Of a short word little may differ: "fr" is no slip for "zh".
        .filter(|(distance, name)| *distance <= (name.len() / 4).max(2).min(name.len() / 3))
        .map(|(_, name)| name)
}

/// Edits between two words; two neighbouring letters swapped count as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("lease", "lease", 0),
            ("laese", "lease", 1),
            ("slot", "slots", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["OUTBOXD_SLOTS", "OUTBOXD_LEASE"];
        assert_eq!(nearest("OUTBOXD_SLOT", known), Some("OUTBOXD_SLOTS"));
        assert_eq!(nearest("outboxd_laese", known), Some("OUTBOXD_LEASE"));
        assert_eq!(nearest("OUTBOXD_COLOUR", known), None);
        for typed in ["fr", "cn", "zh-TW"] {
            assert_eq!(nearest(typed, ["auto", "zh", "en"]), None, "{typed}");
        }
        assert_eq!(nearest("ZH", ["auto", "zh", "en"]), Some("zh"));
    }
}
