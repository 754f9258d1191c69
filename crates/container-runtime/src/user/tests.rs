//! Requests go before the image, names before numbers, and groups come from where the policy says.

use super::*;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/bin/false\n# comment\nodd:x:notanumber:1::/:\n";
const GROUP: &str = "root:x:0:\nwww:x:33:\nlogs:x:50:www,other\nmedia:x:60:www\n";

fn identity(wanted: Wanted<'_>) -> Result<Identity, UserError> {
    Accounts::parse(PASSWD, GROUP).identity(&wanted)
}

fn who(uid: u32, gid: u32, groups: &[u32], home: &str) -> Result<Identity, UserError> {
    Ok(Identity {
        uid,
        gid,
        groups: groups.to_vec(),
        home: home.to_owned(),
    })
}

#[test]
#[rustfmt::skip]
fn users_are_found_as_asked() {
    let none = Wanted::default;
    let cases = [
        (none(), who(0, 0, &[], "/root")),
        (Wanted { image_user: "www", ..none() }, who(33, 33, &[50, 60], "/var/www")),
        (Wanted { image_user: "www:logs", ..none() }, who(33, 50, &[50, 60], "/var/www")),
        (Wanted { image_user: "1000:1000", ..none() }, who(1000, 1000, &[], "/")),
        (Wanted { uid: Some(33), image_user: "root", ..none() }, who(33, 33, &[50, 60], "/var/www")),
        (Wanted { uid: Some(1000), groups: &[2000, 5], ..none() }, who(1000, 0, &[5, 2000], "/")),
        (Wanted { uid: Some(33), gid: Some(3000), groups: &[50], strict: true, ..none() }, who(33, 3000, &[50], "/var/www")),
        (Wanted { name: "www", image_user: "0:logs", ..none() }, who(33, 33, &[50, 60], "/var/www")),
        (Wanted { image_user: "nobody", ..none() }, Err(UserError::UnknownUser("nobody".to_owned()))),
        (Wanted { image_user: "0:nobody", ..none() }, Err(UserError::UnknownGroup("nobody".to_owned()))),
        (Wanted { uid: Some(-1), ..none() }, Err(UserError::OutOfRange(-1))),
    ];
    for (wanted, expected) in cases {
        let shown = format!("{wanted:?}");
        assert_eq!(identity(wanted), expected, "{shown}");
    }
}

#[test]
fn the_uppermost_layer_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let layers: Vec<PathBuf> = ["top", "middle", "bottom"]
        .iter()
        .map(|name| directory.path().join(name))
        .collect();
    for (layer, text) in [(1, "me:x:7:7::/me:"), (2, "me:x:8:8::/me:")] {
        std::fs::create_dir_all(layers[layer].join("etc")).unwrap();
        std::fs::write(layers[layer].join("etc/passwd"), text).unwrap();
    }
    let accounts = Accounts::of_layers(&layers);
    assert_eq!(
        accounts
            .identity(&Wanted {
                image_user: "me",
                ..Wanted::default()
            })
            .unwrap()
            .uid,
        7
    );
}
