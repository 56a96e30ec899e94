//! What a list is asked for, as it stands in its address: read once, and written back into every link.
//!
//! A filter that is not understood is never passed over: the list would show, and the export carry away, more than was
//! asked for.

use super::trouble::Trouble;
use super::visit::{LANG, THEME, Visit, shown};
use crate::words::say;

/// Longer than any name or key.
const LONGEST: usize = 200;
/// May be given several times, or with commas.
pub(super) const STATUS: &str = "status";

#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pairs: Vec<(&'static str, String)>,
}

impl Asked {
    /// The filters of this visit's address. `known` is every one this page has.
    pub(super) fn of(visit: &Visit, known: &[&'static str]) -> Result<Asked, Trouble> {
        let query = visit.here.split_once('?').map_or("", |(_, query)| query);
        let mut asked = Asked::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                if [LANG, THEME].contains(&&*name) {
                    continue;
                }
                let sentence = say!(visit.lang, "desk.asked.no_filter", name = shown(&name));
                return Err(Trouble::Asked(sentence));
            };
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            if value.chars().count() > LONGEST {
                return Err(asked.odd(visit, name, &value));
            }
            let values = match name {
                STATUS => value.split(',').collect(),
                _ => vec![&*value],
            };
            for value in values.into_iter().map(str::trim) {
                if !value.is_empty() && !asked.has(name, value) {
                    asked.pairs.push((name, value.to_owned()));
                }
            }
        }
        Ok(asked)
    }

    /// What is wrong with this one.
    pub(super) fn odd(&self, visit: &Visit, name: &str, value: &str) -> Trouble {
        let (name, value) = (shown(name), shown(value));
        let sentence = say!(visit.lang, "desk.asked.odd", name = name, value = value);
        Trouble::Asked(sentence)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(it, _): &&(&'static str, String)| *it == name;
        self.pairs.iter().filter(named).map(|(_, value)| &**value)
    }

    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|it| it == value)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A number, such as the place in a list.
    pub(super) fn number(&self, visit: &Visit, name: &str) -> Result<Option<i64>, Trouble> {
        let number = |text: &str| text.parse().map_err(|_| self.odd(visit, name, text));
        self.get(name).map(number).transpose()
    }

    /// The same with this one set anew.
    pub(super) fn with(&self, name: &'static str, value: impl ToString) -> Asked {
        let mut changed = self.without(&[name]);
        changed.pairs.push((name, value.to_string()));
        changed
    }

    pub(super) fn without(&self, names: &[&str]) -> Asked {
        let rest = self.pairs.iter().filter(|(it, _)| !names.contains(it));
        Asked {
            pairs: rest.cloned().collect(),
        }
    }

    pub(super) fn without_one(&self, name: &str, value: &str) -> Asked {
        let other = |(n, v): &&(&'static str, String)| *n != name || v != value;
        Asked {
            pairs: self.pairs.iter().filter(other).cloned().collect(),
        }
    }

    /// The address of a page of ours that is asked for this.
    pub(super) fn href(&self, visit: &Visit, path: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        visit.at(&format!("{path}{mark}{query}"))
    }
}

/// A filter that holds, and the address of the list without it.
pub(super) struct Chip {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) without: String,
}

/// A choice of a form.
pub(super) struct Choice {
    pub(super) word: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// The ways from a page of a list to its others.
#[derive(Default)]
pub(super) struct Turns {
    pub(super) newest: Option<String>,
    pub(super) newer: Option<String>,
    pub(super) older: Option<String>,
}

impl Turns {
    pub(super) fn any(&self) -> bool {
        self.newer.is_some() || self.older.is_some()
    }
}

/// Which page of a list: it follows, or precedes, one that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn<T> {
    Newest,
    Before(T),
    After(T),
}

/// A page out of what was found, one more than it holds if there are more. Newest first; of a page before, the nearest.
pub(super) fn turned<T, P: Copy>(
    mut found: Vec<T>,
    size: usize,
    turn: Turn<P>,
    place: impl Fn(&T) -> P,
) -> (Vec<T>, Option<P>, Option<P>) {
    let more = found.len() > size;
    match turn {
        Turn::After(_) if more => drop(found.drain(..found.len() - size)),
        Turn::Newest | Turn::Before(_) | Turn::After(_) => found.truncate(size),
    }
    let (first, last) = (found.first().map(&place), found.last().map(&place));
    let (newer, older) = match turn {
        Turn::Newest => (None, last.filter(|_| more)),
        Turn::Before(_) => (first, last.filter(|_| more)),
        Turn::After(_) => (first.filter(|_| more), last),
    };
    (found, newer, older)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_there_is_another_on_each_side() {
        let page = |found: &[i64], turn| turned(found.to_vec(), 2, turn, |it| *it);
        for (found, turn, expected) in [
            (&[9, 8][..], Turn::Newest, (vec![9, 8], None, None)),
            (&[9, 8, 7], Turn::Newest, (vec![9, 8], None, Some(8))),
            (&[7, 6, 5], Turn::Before(8), (vec![7, 6], Some(7), Some(6))),
            (&[7], Turn::Before(8), (vec![7], Some(7), None)),
            (&[9, 8, 7], Turn::After(6), (vec![8, 7], Some(8), Some(7))),
            (&[8, 7], Turn::After(6), (vec![8, 7], None, Some(7))),
        ] {
            assert_eq!(page(found, turn), expected, "{turn:?}");
        }
    }
}
