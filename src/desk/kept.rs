//! Answers that everybody shares for a few seconds: however many people look, the database is asked once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::lines::WAIT;
use super::trouble::Trouble;

/// How long it is not asked again after trouble that passes by itself.
const TROUBLED: Duration = Duration::from_secs(2);

pub(super) struct Kept<K, V> {
    fresh: Duration,
    known: Mutex<HashMap<K, Known<V>>>,
}

type Known<V> = (Instant, Result<V, Trouble>);

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub(super) fn new(fresh: Duration) -> Kept<K, V> {
        Kept {
            fresh,
            known: Mutex::default(),
        }
    }

    /// What is known, while it is fresh; else what `ask` says. Who comes meanwhile waits for the same answer, and shares
    /// the trouble, so that a database that keeps silent is not waited for by one after the other.
    pub(super) async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, Trouble>
    where
        F: Future<Output = Result<V, Trouble>>,
    {
        let turn = timeout(WAIT, self.known.lock()).await;
        let mut known = turn.map_err(|_| Trouble::Busy)?;
        known.retain(|_, (at, answer)| match answer {
            Ok(_) => at.elapsed() < self.fresh,
            Err(_) => at.elapsed() < TROUBLED,
        });
        if let Some(answer) = known.get(&key).and_then(|(_, answer)| shared(answer)) {
            return answer;
        }
        let answer = ask().await;
        if let Some(shared) = shared(&answer) {
            known.insert(key, (Instant::now(), shared));
        }
        answer
    }

    /// Somebody has just changed what is known: whoever looks next is told anew.
    pub(super) async fn forget(&self) {
        self.known.lock().await.clear();
    }
}

/// The same for the next one, where asking anew would bring the same.
fn shared<V: Clone>(answer: &Result<V, Trouble>) -> Option<Result<V, Trouble>> {
    match answer {
        Ok(answer) => Some(Ok(answer.clone())),
        Err(trouble) => trouble.passing().map(Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_asked_for_once_and_shared() {
        let kept = Kept::new(Duration::from_secs(60));
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

    #[tokio::test]
    async fn trouble_is_shared_while_it_passes_and_any_other_is_asked_again() {
        let kept = Kept::new(Duration::from_secs(60));
        let away = kept.get("a", || async { Err(Trouble::Away) }).await;
        assert!(matches!(away, Err(Trouble::Away)));
        let shared = kept.get("a", || async { Ok(1) }).await;
        assert!(matches!(shared, Err(Trouble::Away)));
        let no_right = kept.get("b", || async { Err(Trouble::NoRight) }).await;
        assert!(matches!(no_right, Err(Trouble::NoRight)));
        assert_eq!(kept.get("b", || async { Ok(2) }).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_for_a_statement() {
        let kept = Kept::<_, i32>::new(Duration::from_secs(60));
        let first = kept.get("a", std::future::pending);
        let second = async {
            let second = kept.get("a", std::future::pending);
            timeout(WAIT * 2, second).await.expect("it ends")
        };
        tokio::select! {
            biased;
            _ = first => unreachable!("nobody answers"),
            told = second => assert!(matches!(told, Err(Trouble::Busy))),
        }
    }
}
