//! Parts that were changed on the way: refused by name, before they are a graph.

use super::*;
use crate::change::{HistoryAttribution, LinkPair};
use crate::snapshot::Part;

/// A graph with something in every part.
fn world() -> World {
    let mut world = World::new(
        "[workspace]\nconflict = \"replay\"\n[namespaces.user]\nlimit = 1\n\
         [namespaces.device]\nlimit = 9\n[namespaces.kiosk]\nlimit = 9\nshared = true",
    );
    let (user, device, kiosk) = (("user", "a"), ("device", "1"), ("kiosk", "k"));
    world.create(&[user, device, kiosk]);
    world.create(&[("user", "b"), kiosk]);
    let pair =
        LinkPair { a: (user.0.into(), user.1.into()), b: (device.0.into(), device.1.into()) };
    let displaces = Extra {
        displaced: vec![pair],
        moves: vec![moved(device, 1, Some(3), MoveCause::Displaced)],
        marks_known: true,
        ..Extra::default()
    };
    let mut told = with_verb(
        event(found(1), vec![observed(user, Verdict::AlreadyAttached)]),
        Verb::Login,
        displaces,
    );
    told.event_id = "op-1".into();
    world.resolve(told);
    let attribution = HistoryAttribution {
        source: ProfileNumber(1),
        destination: ProfileNumber(2),
        start: at(0),
        end: at(1),
        refused: None,
    };
    let extra = Extra { attribution: Some(attribution), ..Extra::default() };
    world.resolve(with_verb(event(found(2), Vec::new()), Verb::AttributeHistory, extra));
    world
}

/// Loads and verifies the parts after a change of each; why the loader would not have them.
fn refusal(change: impl Fn(&mut Part)) -> String {
    let (mut loader, mut verifier) = (Loader::new(1), Verifier::default());
    let mut refused = None;
    let mut adds_up = true;
    for mut part in world().graph.freeze().into_parts() {
        change(&mut part);
        adds_up &= verifier.add(part.clone()).is_ok();
        refused = refused.or_else(|| loader.add(part).err());
    }
    let refused = refused.or_else(|| loader.finish().err()).expect("it is impossible");
    assert!(!adds_up || verifier.finish().is_err(), "the verifier sees it, too");
    refused.0
}

fn refused(reason: &str, change: impl Fn(&mut Part)) {
    let refusal = refusal(change);
    assert!(refusal.contains(reason), "{refusal:?} does not say {reason:?}");
}

#[test]
fn marks_that_do_not_exist_are_refused() {
    refused("a profile has the flags 0x10", |part| {
        if let Part::Profiles(part) = part {
            part.flags[0] = 16;
        }
    });
    refused("an identifier has the flags 0x2", |part| {
        if let Part::Identifiers(part) = part {
            part.flags[0] = 2;
        }
    });
    refused("its state hash is", |part| {
        if let Part::Profiles(part) = part {
            part.flags[0] ^= 1;
        }
    });
}

#[test]
fn impossible_holders_are_refused() {
    refused("a further holder is nobody", |part| {
        if let Part::Holders(part) = part {
            part.profile[0] = 0;
        }
    });
    refused("profile 9 does not exist", |part| {
        if let Part::Holders(part) = part {
            part.profile[0] = 9;
        }
    });
    refused("profile 1 cannot be a further holder", |part| {
        if let Part::Holders(part) = part {
            part.profile[0] = 1;
        }
    });
    refused("identifier 99 of", |part| {
        if let Part::Holders(part) = part {
            part.identifier[0] = 99;
        }
    });
}

#[test]
fn links_that_stand_twice_are_refused() {
    // One in the row of its weaker identifier and one beyond; as it is, and the other way round.
    for (stronger, turned) in [(0, false), (0, true), (3, false), (3, true)] {
        refused("a link stands twice", |part| {
            let Part::Links(part) = part else { return };
            let Some(at) = part.stronger.iter().position(|&id| id == stronger) else { return };
            let (a, b) = (part.stronger[at], part.weaker[at]);
            let (a, b) = if turned { (b, a) } else { (a, b) };
            part.stronger.push(a);
            part.weaker.push(b);
            part.sequence.push(part.sequence[at]);
        });
    }
}

#[test]
fn impossible_evidence_is_refused() {
    refused("evidence links 7 with", |part| {
        if let Part::Evidence(part) = part {
            part.a[0] = 7;
        }
    });
    refused("evidence is in state 9", |part| {
        if let Part::Evidence(part) = part {
            part.state[0] = 9;
        }
    });
    refused("first seen by record 99", |part| {
        if let Part::Evidence(part) = part {
            part.first[0] = 99;
        }
    });
    refused("identifier 99 of", |part| {
        if let Part::Evidence(part) = part {
            part.b[0] = 99;
        }
    });
}

#[test]
fn impossible_notes_are_refused() {
    refused("attributed to itself", |part| {
        if let Part::Attributions(part) = part {
            part.destination[0] = part.source[0];
        }
    });
    refused("history is attributed from", |part| {
        if let Part::Attributions(part) = part {
            part.end[0] = part.start[0] - 1;
        }
    });
    refused("profile 0 does not exist", |part| {
        if let Part::Departures(part) = part {
            part.profile[0] = 0;
        }
    });
    refused("is remembered as another", |part| {
        if let Part::RememberedEvents(part) = part {
            part.verdicts[0].clear();
            part.ranks[0].clear();
            part.attributed_by[0] = 0;
        }
    });
    refused("in no order", |part| {
        if let Part::RememberedEvents(part) = part {
            part.ranks[0].push(7);
        }
    });
    refused("is attributed by 99", |part| {
        if let Part::RememberedEvents(part) = part {
            part.attributed_by[0] = 99;
        }
    });
    refused("ignored traits without reasons", |part| {
        if let Part::RememberedEvents(part) = part {
            part.ignored_names[0].push(7);
        }
    });
    refused("columns of", |part| {
        if let Part::Departures(part) = part {
            part.sequence.clear();
        }
    });
}
