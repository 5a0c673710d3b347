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
//! workspace [<<]                  begins a workspace, with the preset or the rules given
//! rules [expected=VERSION] <<     puts rules in force
//! observe NS=VALUE... [@TIME] [id=] [type=] [source=] [key=NS] [profile=N]
//!         [trait.NAME=JSON]... [read_only]
//! lookup NS=VALUE                 whose it is
//! profile N                       what is held, by a living or an absorbed number
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
use ipse_core::decide::Decision;
use ipse_core::{Change, Event, Refusal, Rules, SentIdentifier, SentTrait, Timestamp, rules};

use super::backend::Backend;
use super::command::{self, Command, Observe, Time};
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
                self.workspace(None);
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
            Command::Workspace { rules } => self.workspace(rules),
            Command::Rules { text, expected } => self.rules(&text, expected),
            Command::Observe(observe) => self.observe(&observe),
            Command::Lookup { namespace, value } => self.lookup(&namespace, &value),
            Command::Profile(number) => self.profile(number),
            Command::Sequence => self.backend.read(|graph| format!("{}\n", graph.sequence())),
            Command::Crash => self.pass(Between::Crash),
            Command::Restart => self.pass(Between::Restart),
            Command::Checkpoint => self.pass(Between::Checkpoint),
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

    fn workspace(&mut self, text: Option<String>) -> String {
        let preset = rules::preset("segment").expect("the preset exists");
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

    fn observe(&mut self, observe: &Observe) -> String {
        let time_ms = observe.time.map(|time| match time {
            Time::At(millis) => millis,
            Time::AfterPrevious(span) => self.previous_ms + span,
            Time::AfterNow(span) => self.now_ms + span,
        });
        self.previous_ms = time_ms.unwrap_or(self.previous_ms);
        let event = event(observe, time_ms.map(timestamp::at_millis));
        let now = self.now();
        match resolve(&mut self.backend, &event, now, observe.read_only) {
            Err(refusal) => render::refusal(&refusal),
            Ok(decision) => render::decision(&decision, observe.read_only),
        }
    }

    fn lookup(&self, namespace: &str, value: &str) -> String {
        self.backend.read(|graph| match graph.lookup(namespace, value) {
            Err(refusal) => render::refusal(&refusal),
            Ok(None) => "nobody\n".into(),
            Ok(Some(view)) => format!("profile {}\n", view.number()),
        })
    }

    fn profile(&self, number: u32) -> String {
        self.backend.read(|graph| match graph.profile(ProfileNumber(number)) {
            None => "nobody\n".into(),
            Some(view) => render::profile(number, &view),
        })
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
    assert!(
        decision.repeated.is_none() || !decision.teaches,
        "a recorded answer taught something: {decision:?}"
    );
    if decision.teaches && !read_only {
        backend.commit(now, Change::EventResolved(decision.resolved.clone()));
    }
    Ok(decision)
}

fn event(observe: &Observe, timestamp: Option<Timestamp>) -> Event<'_> {
    Event {
        event_id: &observe.event_id,
        kind: &observe.kind,
        source: &observe.source,
        timestamp,
        profile: observe.profile.map(ProfileNumber),
        key_namespace: &observe.key_namespace,
        identifiers: observe
            .identifiers
            .iter()
            .map(|(namespace, value)| SentIdentifier {
                namespace: namespace.into(),
                value: value.into(),
            })
            .collect(),
        traits: observe
            .traits
            .iter()
            .map(|(name, value)| SentTrait {
                name: name.into(),
                value: value.clone(),
                set_once: false,
            })
            .collect(),
        ..Event::default()
    }
}
