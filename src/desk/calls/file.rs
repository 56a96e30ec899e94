//! The people to phone as a file: what the list holds, and who has tried.

use axum::response::Response;

use super::{Asking, FILE_FILTERS, tried};
use crate::desk::asked::Turn;
use crate::desk::card::labels;
use crate::desk::csv::{self, Batches, Cells};
use crate::desk::export::{cells, header};
use crate::desk::stream::{BATCH, MOST};
use crate::desk::trouble::Trouble;
use crate::desk::visit::Visit;
use crate::outbox::inspect::{self, Ending};
use crate::words::{Voice, say};

pub(in crate::desk) async fn export(visit: Visit) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    tx.commit().await?;
    let asking = Asking::of(&visit, &voice, FILE_FILTERS)?;
    let mut header = header(&voice);
    header.push(say!(voice, "desk.export.tried"));
    let turn = asking.turn;
    let calls = Calls {
        visit,
        voice,
        asking,
        turn,
        read: 0,
        is_over: false,
    };
    csv::file("calls.csv", header, calls).await
}

struct Calls {
    visit: Visit,
    voice: Voice,
    asking: Asking,
    /// Behind the last one that was read.
    turn: Turn<Ending>,
    read: usize,
    is_over: bool,
}

impl Batches for Calls {
    async fn next(&mut self) -> Result<Option<Vec<Cells>>, Trouble> {
        if self.is_over || self.read >= MOST {
            return Ok(None);
        }
        let mut tx = self.visit.desk.lines.read().await?;
        let calls = self.asking.read(&mut tx, self.turn, BATCH).await?;
        let hits: Vec<_> = calls.iter().map(|call| call.hit).collect();
        let found = inspect::read(&mut tx, &hits).await?;
        let labels = labels(&mut tx, &self.visit, &found).await?;
        tx.commit().await?;
        self.is_over = i64::try_from(calls.len()).is_ok_and(|n| n < BATCH);
        self.turn = calls
            .last()
            .map_or(self.turn, |call| Turn::Before(call.ending));
        self.read += calls.len();
        let nothing = Default::default();
        let line = |call: &inspect::Call| {
            let it = found.iter().find(|it| it.key.0 == call.hit.key)?;
            let named = labels.get(&it.key.0).unwrap_or(&nothing);
            let mut line = cells(it, named, &self.voice);
            line.push(tried(call, &self.voice).unwrap_or_default());
            Some(line)
        };
        Ok(Some(calls.iter().filter_map(line).collect()))
    }

    fn is_cut(&self) -> bool {
        !self.is_over
    }

    fn voice(&self) -> &Voice {
        &self.voice
    }
}
