//! `[[logs]]`: files of one client.
