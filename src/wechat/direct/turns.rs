//! One call at a time for each person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::timeout;

use crate::secret::Secret;

/// Who is being called; a person nobody waits for takes no room.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<Turn<()>>>>);

impl Turns {
    /// Waits for the turn with this person; none when it does not come in time.
    pub(super) async fn take(
        &self,
        openid: &Secret,
        patience: Duration,
    ) -> Option<OwnedMutexGuard<()>> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds or awaits a turn that only the table knows. The table stays as small as the slots are.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(openid.expose().to_owned()).or_default())
        };
        timeout(patience, turn.lock_owned()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Turns;
    use crate::secret::Secret;

    #[tokio::test]
    async fn one_person_one_call() {
        let (turns, patience) = (Turns::default(), Duration::from_millis(20));
        let (li, wang) = (Secret::new("o-li"), Secret::new("o-wang"));
        let first = turns.take(&li, patience).await.unwrap();
        assert!(
            turns.take(&li, patience).await.is_none(),
            "her turn is taken"
        );
        assert!(turns.take(&wang, patience).await.is_some(), "his is not");
        drop(first);
        assert!(turns.take(&li, patience).await.is_some());
        assert_eq!(turns.0.lock().unwrap().len(), 1, "the others are gone");
    }
}
