//! Runs the stories of `tests/scenarios/*.txt` on a backend.
//!
//! A file is blocks with comment lines (`#`) between them. A block is command lines, a
//! line `----`, the expected output of all its commands, and a blank line:
//!
//! ```text
//! observe email=ann@example.com @2021-01-01T00:00:00Z
//! ----
//! profile 1 created
//! ```
//!
//! A command line that ends in ` <<` takes the lines up to `>>` as TOML. A file that does
//! not open with `workspace` runs on the preset `segment`. Profiles are written by number,
//! in the order of creation. The commands:
//!
//! ```text
//! workspace [preset=NAME] [<<]    begins a workspace, with the preset or the rules given
//! rules [expected=VERSION] [preset=NAME] [<<]   puts rules in force
//! observe NS=VALUE... [@TIME] [id=] [type=] [source=] [key=NS] [profile=N]
//!         [trait.NAME=JSON]... [once.NAME=JSON]... [read_only]
//! login, link NS=VALUE... [from NS=VALUE...] [force] and the options of `observe`
//! logout NS=VALUE... and the options of `observe`
//! modify N [NS=OLD->NEW] [+NS=NEW] [-NS=OLD]... [id=] [source=] [@TIME] [read_only]
//! merge N from M... [force] [id=] [source=] [@TIME] [read_only]
//! split N NS=VALUE... [together] [all_but] [id=] [source=] [read_only]
//! revert N [chain] [id=] [source=] [read_only]
//! deny NS=VALUE NS=VALUE [id=] [source=] [read_only]
//! force NS=VALUE NS=VALUE [id=] [source=] [read_only]
//! attribute M to N @TIME @TIME [id=] [source=] [read_only]   the range, ends included
//! import [former=ID] [created=TIME] [known] [@TIME] NS=VALUE... [trait.NAME=JSON]...
//!         [read_only]             a @TIME holds for what comes after it
//! lookup NS=VALUE, owners NS=VALUE        whose it is, first and all
//! canonical ID, former ID         whose it is
//! profile N                       what is held, by a living or an absorbed number
//! about N                         what else is known of a profile
//! as of SEQUENCE QUESTION         one of these six, as of a record; of traits that were set
//!                                 later only the names are known
//! sequence                        the newest sequence number
//! crash, restart, checkpoint      must not matter; print nothing
//! ```
//!
//! TIME is `2021-01-01T00:00:00Z`, `+1d` or `-3h` from the event before, or `now+25h`. A
//! VALUE with spaces is a JSON string. `a{1..3}` stands for `a1 a2 a3`, `{5*x}` for `xxxxx`.
//!
//! With `UPDATE=1` in the environment the core's runner rewrites the expected output; the
//! diff is then reviewed like code.

use std::path::Path;

use ipse_core::change::ProfileNumber;
use ipse_core::command::{
    AttributeHistory, DenyLink, ForceLink, IdentifierChange, ImportProfile, ImportedIdentifier,
    ImportedTrait, MergeProfiles, ModifyIdentifiers, Operation, RevertMerge, SplitProfile, Taken,
};
use ipse_core::decide::Decision;
use ipse_core::graph::{NotKept, PastView, ProfileView};
use ipse_core::{
    Change, Event, Graph, Refusal, Rules, SentIdentifier, SentTrait, SequenceNumber, Timestamp,
    rules,
};

use super::backend::Backend;
use super::command::{self, Command, Import, Pair, Time, Trait, Written};
use super::{render, timestamp};

/// What is done between two commands of a story, which must not change its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    Nothing,
    Crash,
    Checkpoint,
    Restart,
}

/// Whether expected output is compared or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Compare,
    Rewrite,
}

/// `Rewrite` if the environment says `UPDATE=1`.
pub(crate) fn mode_from_environment() -> Mode {
    match std::env::var("UPDATE").as_deref() {
        Ok("1") => Mode::Rewrite,
        _ => Mode::Compare,
    }
}

/// Runs every story below `tests/scenarios`, each on a backend of its own, and panics with
/// all differences at the end.
pub(crate) fn run_all<B: Backend>(mode: Mode, between: Between, mut backend: impl FnMut() -> B) {
    let mut paths: Vec<_> = std::fs::read_dir(super::tests_path("scenarios"))
        .expect("the scenarios are in the tree")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scenario found");
    let differences: Vec<String> =
        paths.iter().filter_map(|path| run_file(path, mode, between, backend()).err()).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

fn run_file<B: Backend>(
    path: &Path,
    mode: Mode,
    between: Between,
    backend: B,
) -> Result<(), String> {
    let text = std::fs::read_to_string(path).expect("a readable scenario");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut story = Story::new(backend, between);
    let (mut rewritten, mut differences) = (String::new(), String::new());
    for piece in pieces(&text) {
        let block = match piece {
            Piece::Between(line) => {
                rewritten += &format!("{line}\n");
                continue;
            }
            Piece::Block(block) => block,
        };
        let actual = story.run_block(&block).map_err(|error| format!("{name}:{error}"))?;
        rewritten += &format!("{}----\n{actual}", block.source);
        if actual != block.expected {
            differences += &difference(&name, &block, &actual);
        }
    }
    if mode == Mode::Rewrite && rewritten != text {
        std::fs::write(path, rewritten).expect("a writable scenario");
        return Ok(());
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn difference(name: &str, block: &Block, actual: &str) -> String {
    let mark = |text: &str, sign: char| -> String {
        text.lines().map(|line| format!("  {sign} {line}\n")).collect()
    };
    format!(
        "{name}:{}:\n{}{}{}",
        block.line,
        mark(&block.source, ' '),
        mark(&block.expected, '-'),
        mark(actual, '+')
    )
}

enum Piece {
    /// A comment or blank line between blocks.
    Between(String),
    Block(Block),
}

struct Block {
    line: usize,
    source: String,
    commands: Vec<(usize, String, Option<String>)>,
    expected: String,
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.peek().copied() {
        if line.is_empty() || line.starts_with('#') {
            pieces.push(Piece::Between(line.into()));
            lines.next();
            continue;
        }
        let mut block = Block {
            line: index + 1,
            source: String::new(),
            commands: Vec::new(),
            expected: String::new(),
        };
        read_commands(&mut block, &mut lines);
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            block.expected += &format!("{line}\n");
        }
        pieces.push(Piece::Block(block));
    }
    pieces
}

/// Reads up to and over the line `----`.
fn read_commands<'t>(block: &mut Block, lines: &mut impl Iterator<Item = (usize, &'t str)>) {
    while let Some((index, line)) = lines.next() {
        if line == "----" {
            return;
        }
        block.source += &format!("{line}\n");
        if line.starts_with('#') {
            continue;
        }
        let Some(command) = line.strip_suffix(" <<") else {
            block.commands.push((index + 1, line.into(), None));
            continue;
        };
        let mut toml = String::new();
        for (_, line) in lines.by_ref() {
            block.source += &format!("{line}\n");
            if line == ">>" {
                break;
            }
            toml += &format!("{line}\n");
        }
        block.commands.push((index + 1, command.into(), Some(toml)));
    }
}

/// A workspace, a clock, and the time of the event before.
struct Story<B> {
    backend: B,
    between: Between,
    workspaces: u32,
    now_ms: i64,
    previous_ms: i64,
}

impl<B: Backend> Story<B> {
    fn new(backend: B, between: Between) -> Story<B> {
        let now_ms = timestamp::START_MS;
        Story { backend, between, workspaces: 0, now_ms, previous_ms: now_ms }
    }

    fn run_block(&mut self, block: &Block) -> Result<String, String> {
        let mut output = String::new();
        for (line, text, toml) in &block.commands {
            let command =
                command::parse(text, toml.clone()).map_err(|error| format!("{line}: {error}"))?;
            if self.workspaces == 0 && !matches!(command, Command::Workspace { .. }) {
                self.workspace(None, "segment");
            }
            output += &self.run(command);
            if self.workspaces > 0 {
                self.pass(self.between);
            }
            self.now_ms += 1_000;
        }
        Ok(output)
    }

    fn run(&mut self, command: Command) -> String {
        match command {
            Command::Workspace { rules, preset } => self.workspace(rules, &preset),
            Command::Rules { text, expected } => self.rules(&text, expected),
            Command::Event(written) => self.event(&written),
            Command::Modify { profile, changes, written } => {
                self.modify(profile, &changes, &written)
            }
            Command::Merge { target, sources, written } => self.merge(target, &sources, &written),
            Command::Split { profile, together, all_but, written } => {
                self.split(profile, together, all_but, &written)
            }
            Command::Revert { absorbed, chain, written } => self.revert(absorbed, chain, &written),
            Command::Deny(written) => self.deny(&written),
            Command::Force(written) => self.force(&written),
            Command::Attribute { history_of, destination, written } => {
                self.attribute(history_of, destination, &written)
            }
            Command::Import(import) => self.import(&import),
            Command::Sequence => self.backend.read(|graph| format!("{}\n", graph.sequence())),
            Command::Crash => self.pass(Between::Crash),
            Command::Restart => self.pass(Between::Restart),
            Command::Checkpoint => self.pass(Between::Checkpoint),
            question => self.backend.read(|graph| answer(graph, &question)),
        }
    }

    fn pass(&mut self, what: Between) -> String {
        match what {
            Between::Nothing => {}
            Between::Crash => self.backend.crash(),
            Between::Checkpoint => self.backend.checkpoint(),
            Between::Restart => self.backend.restart(),
        }
        String::new()
    }

    fn now(&self) -> Timestamp {
        timestamp::at_millis(self.now_ms)
    }

    fn workspace(&mut self, text: Option<String>, preset: &str) -> String {
        let preset = rules::preset(preset).expect("the story names a preset");
        let text = text.unwrap_or_else(|| preset.into());
        if let Err(problems) = Rules::from_toml(&text) {
            return render::refusal(&Refusal::InvalidRules(problems));
        }
        self.workspaces += 1;
        let name = format!("story-{}", self.workspaces);
        self.backend.create_workspace(&name, &text, self.now());
        self.previous_ms = self.now_ms;
        self.backend.read(|graph| format!("rules version {}\n", graph.rules_version()))
    }

    fn rules(&mut self, text: &str, expected: Option<u32>) -> String {
        let expected = expected.map(ipse_core::change::RulesVersion);
        let decided = self.backend.read(|graph| graph.decide_rules(text, expected));
        match decided {
            Err(refusal) => return render::refusal(&refusal),
            Ok(None) => {}
            Ok(Some(change)) => self.backend.commit(self.now(), change),
        }
        self.backend.read(|graph| format!("rules version {}\n", graph.rules_version()))
    }

    fn event(&mut self, written: &Written) -> String {
        let time = self.time(written);
        let event = event(written, time);
        let now = self.now();
        let decided = resolve(&mut self.backend, &event, now, written.read_only);
        render::answer(decided.as_ref(), written.read_only)
    }

    fn modify(&mut self, profile: u32, changes: &[command::Change], written: &Written) -> String {
        let change = |change: &command::Change| IdentifierChange {
            namespace: change.namespace.clone().into(),
            old: change.old.clone().map(Into::into),
            new: change.new.clone().map(Into::into),
        };
        let fingerprint = format!("modify {profile} {changes:?}");
        let command = ModifyIdentifiers {
            operation: self.operation(written, &fingerprint),
            profile: ProfileNumber(profile),
            changes: changes.iter().map(change).collect(),
        };
        self.carry_out(written, |graph, now| graph.decide_modify(&command, now))
    }

    fn merge(&mut self, target: u32, sources: &[u32], written: &Written) -> String {
        let fingerprint = format!("merge {target} {sources:?} {}", written.force);
        let there = |graph: &Graph, number: u32| {
            let number = ProfileNumber(number);
            graph.profile(number).map(|_| number)
        };
        let sources: Vec<Option<ProfileNumber>> =
            self.backend.read(|graph| sources.iter().map(|number| there(graph, *number)).collect());
        let command = MergeProfiles {
            operation: self.operation(written, &fingerprint),
            target: ProfileNumber(target),
            sources,
            force: written.force,
        };
        self.carry_out(written, |graph, now| graph.decide_merge(&command, now))
    }

    fn split(&mut self, profile: u32, together: bool, all_but: bool, written: &Written) -> String {
        let fingerprint = format!("split {profile} {together} {all_but} {:?}", written.identifiers);
        let taken = match (all_but, written.identifiers.as_slice()) {
            (true, [kept]) => Taken::AllBut(sent_pair(kept)),
            _ => Taken::These(sent(&written.identifiers)),
        };
        let command = SplitProfile {
            operation: self.operation(written, &fingerprint),
            profile: ProfileNumber(profile),
            taken,
            together,
        };
        self.carry_out(written, |graph, now| graph.decide_split(&command, now))
    }

    fn revert(&mut self, absorbed: u32, chain: bool, written: &Written) -> String {
        let fingerprint = format!("revert {absorbed} {chain}");
        let command = RevertMerge {
            operation: operation(written, &fingerprint),
            absorbed: ProfileNumber(absorbed),
            chain,
        };
        self.carry_out(written, |graph, now| graph.decide_revert(&command, now))
    }

    fn deny(&mut self, written: &Written) -> String {
        let fingerprint = format!("deny {:?}", written.identifiers);
        let operation = operation(written, &fingerprint);
        let command = DenyLink { operation, identifiers: two(written) };
        self.carry_out(written, |graph, now| graph.decide_deny(&command, now))
    }

    fn force(&mut self, written: &Written) -> String {
        let fingerprint = format!("force {:?}", written.identifiers);
        let operation = operation(written, &fingerprint);
        let command = ForceLink { operation, identifiers: two(written) };
        self.carry_out(written, |graph, now| graph.decide_force(&command, now))
    }

    fn attribute(&mut self, history_of: u32, destination: u32, written: &Written) -> String {
        let times: Vec<Timestamp> =
            written.times.iter().map(|time| self.read_time(*time)).collect();
        let [start, end] = times.as_slice() else {
            panic!("`attribute` takes two times");
        };
        let fingerprint = format!("attribute {history_of} {destination} {start} {end}");
        let command = AttributeHistory {
            operation: Operation { timestamp: None, ..operation(written, &fingerprint) },
            history_of: ProfileNumber(history_of),
            destination: ProfileNumber(destination),
            start: *start,
            end: *end,
        };
        self.carry_out(written, |graph, now| graph.decide_attribution(&command, now))
    }

    fn import(&mut self, import: &Import) -> String {
        let created_time = import.created.map(|time| self.read_time(time));
        let mut identifiers = Vec::new();
        for (pair, time) in &import.identifiers {
            let time = time.map(|time| self.read_time(time));
            identifiers.push(ImportedIdentifier { sent: sent_pair(pair), time });
        }
        let mut traits = Vec::new();
        for (set, time) in &import.traits {
            let time = time.map(|time| self.read_time(time));
            traits.push(ImportedTrait { sent: sent_trait(set), time });
        }
        let command = ImportProfile {
            source: "export",
            former_id: import.former_id.as_str().into(),
            created_time,
            known: import.known,
            identifiers,
            traits,
        };
        let written = Written { read_only: import.read_only, ..Written::default() };
        self.carry_out(&written, |graph, now| graph.decide_import(&command, now))
    }

    fn operation<'w>(&mut self, written: &'w Written, fingerprint: &'w str) -> Operation<'w> {
        let timestamp = self.time(written);
        Operation { timestamp, ..operation(written, fingerprint) }
    }

    /// Decides a command and, unless it only asks or teaches nothing, commits it.
    fn carry_out<'c>(
        &mut self,
        written: &Written,
        decide: impl FnOnce(&Graph, Timestamp) -> Result<Decision<'c>, Refusal>,
    ) -> String {
        let now = self.now();
        let decided = self.backend.read(|graph| {
            let decision = decide(graph, now)?;
            let Decision { resolved, known, teaches, repeated, attributed_by, rests_on } = decision;
            let resolved = resolved.to_static();
            Ok(Decision { resolved, known, teaches, repeated, attributed_by, rests_on })
        });
        if let Ok(decision) = &decided {
            commit(&mut self.backend, decision, now, written.read_only);
        }
        render::answer(decided.as_ref(), written.read_only)
    }

    /// The time that a command gives. Later ones may go by it, also if it is refused.
    fn time(&mut self, written: &Written) -> Option<Timestamp> {
        let time = written.times.first().copied()?;
        Some(self.read_time(time))
    }

    fn read_time(&mut self, time: Time) -> Timestamp {
        self.previous_ms = match time {
            Time::At(millis) => millis,
            Time::AfterPrevious(span) => self.previous_ms + span,
            Time::AfterNow(span) => self.now_ms + span,
        };
        timestamp::at_millis(self.previous_ms)
    }
}

/// Answers a question, in the words of a story.
fn answer(graph: &Graph, question: &Command) -> String {
    match question {
        Command::Lookup { namespace, value } => match graph.lookup(namespace, value) {
            Err(refusal) => render::refusal(&refusal),
            Ok(found) => render::whose(found),
        },
        Command::Owners { namespace, value } => match graph.owners(namespace, value) {
            Err(refusal) => render::refusal(&refusal),
            Ok(owners) if owners.is_empty() => render::whose(None),
            Ok(owners) => owners.into_iter().map(|owner| render::whose(Some(owner))).collect(),
        },
        Command::Canonical(id) => render::whose(graph.find_canonical(id)),
        Command::Former(id) => render::whose(graph.find_former(id)),
        Command::Profile(number) => {
            shown(graph.profile(ProfileNumber(*number)), *number, render::profile)
        }
        Command::About(number) => {
            shown(graph.profile(ProfileNumber(*number)), *number, render::about)
        }
        Command::AsOf { sequence, question } => match graph.as_of(SequenceNumber(*sequence)) {
            Err(NotKept::Expired { .. }) => "refused: HISTORY_EXPIRED\n".into(),
            Err(NotKept::Future { .. }) => "refused: INVALID_FIELD\n".into(),
            Ok(then) => answer_then(&then, question),
        },
        other => panic!("no question: {other:?}"),
    }
}

/// The same as of a record.
fn answer_then(then: &PastView<'_>, question: &Command) -> String {
    match question {
        Command::Lookup { namespace, value } => match then.lookup(namespace, value) {
            Err(refusal) => render::refusal(&refusal),
            Ok(found) => render::whose(found),
        },
        Command::Owners { namespace, value } => match then.owners(namespace, value) {
            Err(refusal) => render::refusal(&refusal),
            Ok(owners) if owners.is_empty() => render::whose(None),
            Ok(owners) => owners.into_iter().map(|owner| render::whose(Some(owner))).collect(),
        },
        Command::Canonical(id) => render::whose(then.find_canonical(id)),
        Command::Former(id) => render::whose(then.find_former(id)),
        Command::Profile(number) => {
            shown(then.profile(ProfileNumber(*number)), *number, render::profile)
        }
        Command::About(number) => {
            shown(then.profile(ProfileNumber(*number)), *number, render::about)
        }
        other => panic!("no question of the past: {other:?}"),
    }
}

fn shown(
    found: Option<ProfileView<'_>>,
    number: u32,
    show: fn(u32, &ProfileView<'_>) -> String,
) -> String {
    match found {
        None => render::whose(None),
        Some(view) => show(number, &view),
    }
}

/// Decides an event and, unless it only asks or teaches nothing, commits it.
pub(crate) fn resolve<'e, B: Backend>(
    backend: &mut B,
    event: &'e Event<'e>,
    now: Timestamp,
    read_only: bool,
) -> Result<Decision<'e>, Refusal> {
    let decision = backend.read(|graph| graph.decide(event, now))?;
    commit(backend, &decision, now, read_only);
    Ok(decision)
}

fn commit<B: Backend>(backend: &mut B, decision: &Decision<'_>, now: Timestamp, read_only: bool) {
    assert!(
        decision.repeated.is_none() || !decision.teaches,
        "a recorded answer taught something: {decision:?}"
    );
    if decision.teaches && !read_only {
        backend.commit(now, Change::EventResolved(decision.resolved.clone()));
    }
}

fn operation<'w>(written: &'w Written, fingerprint: &'w str) -> Operation<'w> {
    Operation {
        operation_id: &written.id,
        fingerprint: fingerprint.as_bytes(),
        source: &written.source,
        timestamp: None,
    }
}

fn event(written: &Written, timestamp: Option<Timestamp>) -> Event<'_> {
    Event {
        event_id: &written.id,
        verb: written.verb,
        kind: &written.kind,
        source: &written.source,
        timestamp,
        profile: written.profile.map(ProfileNumber),
        key_namespace: &written.key_namespace,
        identifiers: sent(&written.identifiers),
        sources: sent(&written.sources),
        force: written.force,
        traits: written.traits.iter().map(sent_trait).collect(),
    }
}

fn sent(pairs: &[Pair]) -> Vec<SentIdentifier<'_>> {
    pairs.iter().map(sent_pair).collect()
}

/// The two identifiers of `deny` and `force`.
fn two(written: &Written) -> [SentIdentifier<'_>; 2] {
    sent(&written.identifiers).try_into().expect("it takes two identifiers")
}

fn sent_pair((namespace, value): &Pair) -> SentIdentifier<'_> {
    SentIdentifier::new(namespace, value)
}

fn sent_trait(set: &Trait) -> SentTrait<'_> {
    SentTrait { name: (&set.name).into(), value: set.value.clone(), set_once: set.set_once }
}
