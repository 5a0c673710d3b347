//! stub
/// Rules of a workspace.
#[derive(Clone, Debug)]
pub struct Rules { _p: () }
/// One thing wrong with a rules text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesProblem { /// from 1; 0 = whole
  pub line: u32, /// dotted key
  pub key: String, /// text
  pub message: String }
impl Rules {
    /// Parses and checks.
    pub fn from_toml(_text: &str) -> Result<Rules, Vec<RulesProblem>> { todo!() }
    /// How raw events are read.
    pub fn mapping(&self) -> &Mapping { todo!() }
}
/// The text of a preset (`segment`), or None.
pub fn preset(_name: &str) -> Option<&'static str> { todo!() }
/// How raw events are read: which paths hold identifiers and traits. Plain data, public fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// namespace and where its values are, in order of namespace priority
    pub identifiers: Vec<NamespaceSources>,
    /// objects whose fields are the person's traits; a later one fills what earlier ones lack
    pub traits: Vec<Source>,
    /// objects in which a namespace's `key` is looked up, in camelCase and snake_case
    pub keys: Vec<Source>,
    /// array of {id, type, collection, encoding}
    pub external_ids: Option<Source>,
}
/// Where the values of one namespace are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSources { /// name
  pub namespace: String, /// exact places
  pub from: Vec<Source>, /// spellings of the key (snake_case, camelCase, deduplicated) looked up in every `Mapping::keys` object; empty if none
  pub key_spellings: Vec<String> }
/// A path in the event, with conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source { /// object keys from the top
  pub path: Vec<String>, /// all must hold
  pub when: Vec<Condition>, /// none may hold
  pub unless: Vec<Condition> }
/// Holds when the value at `path` equals one of `values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition { /// object keys from the top
  pub path: Vec<String>, /// one of these
  pub values: Vec<Literal> }
/// A scalar to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal { /// text
 Text(String), /// bool
 Bool(bool), /// int
 Integer(i64) }
