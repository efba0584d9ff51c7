//! `ethmon setup`: templates, lifecycle, state indices and roles, installed so that a second run changes nothing.

mod compare;
mod format;
mod mapping;
mod objects;
#[cfg(test)]
mod tests;

pub use self::format::pretty;
pub use self::mapping::{fields, template_accepts};
pub use self::objects::{Kind, Object, Part};
