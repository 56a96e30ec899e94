//! Answers that everybody shares for a few seconds: however many people look, the database is asked once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::trouble::Trouble;

pub(super) struct Kept<K, V> {
    fresh: Duration,
    known: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub(super) fn new(fresh: Duration) -> Kept<K, V> {
        Kept {
            fresh,
            known: Mutex::default(),
        }
    }

    /// What is known, while it is fresh; else what `ask` says. Who comes meanwhile waits for the same answer. Trouble is
    /// not kept.
    pub(super) async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, Trouble>
    where
        F: Future<Output = Result<V, Trouble>>,
    {
        let mut known = self.known.lock().await;
        known.retain(|_, (at, _)| at.elapsed() < self.fresh);
        if let Some((_, answer)) = known.get(&key) {
            return Ok(answer.clone());
        }
        let answer = ask().await?;
        known.insert(key, (Instant::now(), answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_asked_for_once_and_trouble_is_not_kept() {
        let kept = Kept::new(Duration::from_secs(60));
        let trouble = kept.get("a", || async { Err(Trouble::Away) }).await;
        assert!(trouble.is_err());
        for asked in [1, 2] {
            let known = kept.get("a", || async move { Ok(asked) }).await;
            assert_eq!(known.unwrap(), 1);
        }
        assert_eq!(kept.get("b", || async { Ok(3) }).await.unwrap(), 3);
        let stale = Kept::new(Duration::ZERO);
        for asked in [1, 2] {
            let known = stale.get("a", || async move { Ok(asked) }).await;
            assert_eq!(known.unwrap(), asked);
        }
    }
}
