//! Who a container runs as: names in requests and images, looked up in the image's own /etc/passwd and /etc/group.

use std::fs;
use std::path::{Path, PathBuf};

/// The names that an image knows.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Why a user is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No such name in /etc/passwd.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    /// No such name in /etc/group.
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    /// More than 32 bits, or negative.
    #[error("{0} is no user or group identifier")]
    OutOfRange(i64),
}

/// What is asked for: the request goes before the image.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// `run_as_user`.
    pub uid: Option<i64>,
    /// `run_as_username`.
    pub name: &'a str,
    /// `run_as_group`.
    pub gid: Option<i64>,
    /// The image's `USER`.
    pub image_user: &'a str,
    /// `supplemental_groups`.
    pub groups: &'a [i64],
    /// Without the groups that the image gives the user.
    pub strict: bool,
}

/// A user, with nothing left to look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplemental groups, ascending.
    pub groups: Vec<u32>,
    /// Home directory, `/` when nobody says.
    pub home: String,
}

impl Accounts {
    /// Reads the uppermost files of the unpacked layers.
    pub fn of_layers(layers: &[PathBuf]) -> Self {
        Self::parse(&topmost(layers, "etc/passwd"), &topmost(layers, "etc/group"))
    }

    /// Reads the two files' text; lines that are none of an account are skipped, as everywhere.
    pub fn parse(passwd: &str, group: &str) -> Self {
        let users = passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
                return None;
            };
            Some(User {
                name: (*name).to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: (*home).to_owned(),
            })
        });
        let groups = group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members, ..] = fields.as_slice() else {
                return None;
            };
            let members = members
                .split(',')
                .filter(|member| !member.is_empty())
                .map(str::to_owned)
                .collect();
            Some(Group {
                name: (*name).to_owned(),
                gid: gid.parse().ok()?,
                members,
            })
        });
        Self {
            users: users.collect(),
            groups: groups.collect(),
        }
    }

    /// Who the container runs as.
    pub fn identity(&self, wanted: &Wanted<'_>) -> Result<Identity, UserError> {
        let (image_user, image_group) = wanted.image_user.split_once(':').unwrap_or((wanted.image_user, ""));
        let from_image = wanted.uid.is_none() && wanted.name.is_empty();
        let uid_text = wanted.uid.map(|uid| uid.to_string());
        let user_text = uid_text
            .as_deref()
            .unwrap_or(if from_image { image_user } else { wanted.name });
        let user = self.user(user_text)?;
        let gid = match wanted.gid {
            Some(gid) => id(gid)?,
            None if from_image && !image_group.is_empty() => self.group(image_group)?,
            None => user.gid,
        };
        let mut groups = wanted
            .groups
            .iter()
            .map(|group| id(*group))
            .collect::<Result<Vec<_>, _>>()?;
        if !wanted.strict {
            groups.extend(
                self.groups
                    .iter()
                    .filter(|group| !user.name.is_empty() && group.members.contains(&user.name))
                    .map(|group| group.gid),
            );
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(Identity {
            uid: user.uid,
            gid,
            groups,
            home: if user.home.is_empty() {
                "/".to_owned()
            } else {
                user.home
            },
        })
    }

    /// By name, or by number; a number need not be in the file. Nothing is root.
    fn user(&self, text: &str) -> Result<User, UserError> {
        let text = if text.is_empty() { "0" } else { text };
        if let Some(known) = self.users.iter().find(|user| user.name == text) {
            return Ok(known.clone());
        }
        let number: i64 = text
            .parse()
            .map_err(|_not_a_number: std::num::ParseIntError| UserError::UnknownUser(text.to_owned()))?;
        let uid = id(number)?;
        let known = self.users.iter().find(|user| user.uid == uid).cloned();
        Ok(known.unwrap_or(User {
            name: String::new(),
            uid,
            gid: 0,
            home: String::new(),
        }))
    }

    fn group(&self, text: &str) -> Result<u32, UserError> {
        if let Some(known) = self.groups.iter().find(|group| group.name == text) {
            return Ok(known.gid);
        }
        let number: i64 = text
            .parse()
            .map_err(|_not_a_number: std::num::ParseIntError| UserError::UnknownGroup(text.to_owned()))?;
        id(number)
    }
}

fn id(number: i64) -> Result<u32, UserError> {
    u32::try_from(number).map_err(|_out_of_range| UserError::OutOfRange(number))
}

/// The text of a file in the uppermost layer that has it; a layer that hides it ends the search.
fn topmost(layers: &[PathBuf], file: &str) -> String {
    for layer in layers {
        let path = layer.join(file);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => return fs::read_to_string(path).unwrap_or_default(),
            Ok(_) => return String::new(),
            Err(_absent) if hidden(layer, file) => return String::new(),
            Err(_absent) => {}
        }
    }
    String::new()
}

/// Whether a directory on the way is a whiteout (a character device) in this layer.
fn hidden(layer: &Path, file: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let parent = Path::new(file).parent().map(|parent| layer.join(parent));
    parent
        .is_some_and(|parent| fs::symlink_metadata(parent).is_ok_and(|metadata| metadata.file_type().is_char_device()))
}

#[cfg(test)]
mod tests;
