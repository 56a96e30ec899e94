//! What is kept, who gets it, and what a torn line costs.

use super::*;
use crate::catalogue::local;

fn ending(id: i64, transition: Transition) -> Ending {
    Ending {
        id: NotificationId(id),
        place: None,
        lease_token: LeaseToken(Uuid::new_v4()),
        attempt: AttemptNo(2),
        transition,
        phase: Phase::Answered,
        outcome: "delivered",
        why: local::ACCEPTED,
        errcode: None,
        detail: None,
        msgid: Some("1988810812324364291".to_owned()),
        took: Some(Took {
            attempt: Duration::from_millis(140),
            token: Some(Duration::from_millis(90)),
        }),
        ended_at: Instant::now(),
        lease_ends_at: Instant::now(),
    }
}

fn all() -> [Ending; 3] {
    [
        ending(
            1,
            Transition::Settle {
                status: Status::Delivered,
                reason: local::ACCEPTED,
                may_have_arrived: false,
            },
        ),
        ending(
            2,
            Transition::Requeue {
                after: Duration::from_secs(3),
                spared: true,
                may_have_arrived: true,
            },
        ),
        ending(3, Transition::AwaitGrant),
    ]
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("outboxd-journal-{}", Uuid::new_v4()));
    prepare(&folder).unwrap();
    folder
}

#[test]
fn what_is_kept_comes_back_when_its_owner_is_gone() {
    let folder = folder();
    let mut journal = Journal::new(Some(folder.clone()), "default");
    let endings = all();
    journal.keep(&endings[..1]).unwrap();
    journal.keep(&endings).unwrap();
    // The owner lives: its file is nobody else's.
    let next = Journal::new(Some(folder.clone()), "default");
    assert!(next.legacies().unwrap().is_empty());
    let other = Journal::new(Some(folder.clone()), "other");
    drop(journal);
    assert!(other.legacies().unwrap().is_empty());

    let legacies = next.legacies().unwrap();
    let [legacy] = &legacies[..] else {
        panic!("{} legacies", legacies.len())
    };
    assert_eq!((legacy.endings.len(), legacy.unreadable), (3, 0));
    for (ending, back) in endings.iter().zip(&legacy.endings) {
        assert_eq!(name(ending), name(back));
        assert_eq!(
            format!("{:?}", ending.transition),
            format!("{:?}", back.transition)
        );
        assert_eq!(ending.msgid, back.msgid);
        assert_eq!(ending.took, back.took);
        assert!(back.ended_at.elapsed() < Duration::from_secs(5));
    }
    // Nobody else gets it meanwhile, and nobody after.
    assert!(next.legacies().unwrap().is_empty());
    legacies.into_iter().next().unwrap().forget().unwrap();
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
    fs::remove_dir(folder).unwrap();
}

#[test]
fn a_line_of_an_earlier_version_is_read() {
    let folder = folder();
    let mut journal = Journal::new(Some(folder.clone()), "default");
    journal.keep(&all()[..1]).unwrap();
    let (path, _) = journal.file.take().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""token_ms":90,"#));
    fs::write(&path, text.replace(r#""token_ms":90,"#, "")).unwrap();
    let legacies = journal.legacies().unwrap();
    let took = Took {
        attempt: Duration::from_millis(140),
        token: None,
    };
    assert_eq!(legacies[0].endings[0].took, Some(took));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_line_that_was_cut_off_costs_only_itself() {
    let folder = folder();
    let mut journal = Journal::new(Some(folder.clone()), "default");
    journal.keep(&all()).unwrap();
    let (path, _) = journal.file.take().unwrap();
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    let legacies = journal.legacies().unwrap();
    assert_eq!((legacies[0].endings.len(), legacies[0].unreadable), (2, 1));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_file_goes_with_the_last_answer() {
    let folder = folder();
    let mut journal = Journal::new(Some(folder.clone()), "default");
    let endings = all();
    journal.keep(&endings).unwrap();
    journal.done(&endings[0]);
    journal.done(&endings[2]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    journal.done(&endings[1]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir(folder).unwrap();
}
