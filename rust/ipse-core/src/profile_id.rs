//! stub
use std::fmt;
/// public id, 16 ASCII characters `ip_` + 13 lower-case Crockford base32
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileId([u8; 16]);
impl fmt::Display for ProfileId { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) } }
impl ProfileId { /// text
 pub fn as_str(&self) -> &str { todo!() } }
