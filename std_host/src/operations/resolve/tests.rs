use std::fs;

use super::{super::testing::Disk, *};

fn text(access: &FileAccess, path: &str) -> Result<String, String> {
    let file = access.open(path).map_err(|error| error.to_string())?;
    io::read_to_string(file).map_err(|error| error.to_string())
}

fn outside() -> Result<String, String> {
    Err(FileError::Outside.to_string())
}

#[test]
fn what_lies_in_an_allowed_folder_is_read_however_it_is_called() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    let absolute = disk.path("ext/samples/a.txt");
    for path in [
        "samples/a.txt",
        "./samples//./a.txt",
        "samples/inner/../a.txt",
        "samples/../samples/a.txt",
        "../ext/samples/a.txt",
        absolute.to_str().unwrap(),
    ] {
        assert_eq!(text(&access, path), Ok("alpha".to_owned()), "{path}");
    }
    assert_eq!(access.resolve("samples").unwrap(), disk.path("ext/samples"));
    assert_eq!(access.resolve("samples/inner/").unwrap(), disk.path("ext/samples/inner"));
}

#[test]
fn what_lies_elsewhere_is_outside() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    let secret = disk.path("outside/secret.txt");
    for path in [
        ".",
        "..",
        "/",
        "private.txt",
        "samples/..",
        "samples/../private.txt",
        "../outside/secret.txt",
        "samples/../../outside/secret.txt",
        "../../../../../../../../../../../../etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        secret.to_str().unwrap(),
        // Another folder whose name starts like an allowed one, or that differs by case.
        "samples2/a.txt",
        "Samples/a.txt",
        "~/a.txt",
    ] {
        assert_eq!(text(&access, path), outside(), "{path}");
    }
    let long = "./".repeat(2_048) + "samples/a.txt";
    for path in ["", "\0", "samples/a.txt\0", "samples/\0/a.txt", &long] {
        assert!(matches!(access.open(path), Err(FileError::Path)), "{path:?}");
    }
}

#[test]
fn nothing_tells_whether_something_exists_outside() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    disk.link("/nowhere/at/all", "ext/samples/broken");
    disk.link("../../outside/secret.txt", "ext/samples/secret");
    disk.link("../../outside", "ext/samples/folder");
    for path in [
        "../outside/none.txt",
        "../none/none.txt",
        "samples/broken",
        "samples/secret",
        "samples/secret/none",
        "samples/folder/secret.txt",
        "samples/folder/none.txt",
        // Ways that would only work if what they lead through existed.
        "../outside/../ext/samples/a.txt",
        "../none/../ext/samples/a.txt",
        "samples/folder/../ext/samples/a.txt",
    ] {
        assert_eq!(text(&access, path), outside(), "{path}");
    }
}

#[test]
fn links_are_followed_as_long_as_they_stay_inside() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    disk.link("inner/b.txt", "ext/samples/relative");
    disk.link("../inner/b.txt", "ext/samples/inner/up");
    disk.link(disk.path("ext/samples/inner").to_str().unwrap(), "ext/samples/absolute");
    disk.link("relative", "ext/samples/again");
    for path in ["samples/relative", "samples/inner/up", "samples/absolute/b.txt", "samples/again"] {
        assert_eq!(text(&access, path), Ok("beta".to_owned()), "{path}");
    }
    // `..` after a link leaves the folder that it leads to, as the system has it.
    assert_eq!(text(&access, "samples/absolute/../a.txt"), Ok("alpha".to_owned()));

    disk.link("circle", "ext/samples/circle");
    assert!(matches!(access.open("samples/circle"), Err(FileError::TooManyLinks)));
}

#[test]
fn what_is_no_file_is_not_opened() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    disk.pipe("ext/samples/pipe");
    assert!(matches!(access.open("samples"), Err(FileError::NotAFile)));
    assert!(matches!(access.open("samples/pipe"), Err(FileError::NotAFile)));
    assert!(matches!(access.open("samples/a.txt/b"), Err(FileError::NotAFolder)));
    assert!(matches!(access.open("samples/a.txt/../a.txt"), Err(FileError::NotAFolder)));
    assert!(matches!(access.open_folder("samples/a.txt"), Err(FileError::NotAFolder)));
    assert!(matches!(access.open("samples/none"), Err(FileError::NotFound)));
    assert!(matches!(access.open("samples/none/../a.txt"), Err(FileError::NotFound)));
    // A name here, a path elsewhere; it stays inside either way.
    assert!(matches!(access.open("samples/..\\private.txt"), Err(FileError::NotFound)));
    assert!(matches!(access.open(&format!("samples/{}", "x".repeat(300))), Err(FileError::System(_))));
}

#[test]
fn what_is_replaced_on_the_way_leads_nowhere_else() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    // Between finding a file and opening it: it becomes a link, or a pipe, or the folder on the way becomes a link.
    let found = |path: &str| match access.find(path).unwrap().what {
        What::Entry(place, _) => place,
        _ => panic!("{path} is no file"),
    };
    let read = |place: &Place| {
        place.open(OpenOptions::new().read(true)).map(|file| io::read_to_string(file).unwrap())
    };
    let (file, inner) = (found("samples/a.txt"), found("samples/inner/b.txt"));
    fs::remove_file(disk.path("ext/samples/a.txt")).unwrap();
    disk.link("../../outside/secret.txt", "ext/samples/a.txt");
    assert!(matches!(read(&file), Err(FileError::System(_))), "a link is not followed");
    fs::remove_file(disk.path("ext/samples/a.txt")).unwrap();
    disk.pipe("ext/samples/a.txt");
    assert!(matches!(read(&file), Err(FileError::Replaced)), "a pipe does not wait for a writer");

    fs::rename(disk.path("ext/samples/inner"), disk.path("ext/moved")).unwrap();
    disk.link("../../outside", "ext/samples/inner");
    fs::write(disk.path("outside/b.txt"), "secret").unwrap();
    assert_eq!(read(&inner).unwrap(), "beta", "the folder that was found stays open");
    assert_eq!(text(&access, "samples/inner/b.txt"), outside());
}

#[test]
fn a_folder_of_the_extension_that_became_a_link_gives_nothing_of_where_it_leads() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    fs::write(disk.path("outside/a.txt"), "secret").unwrap();
    fs::rename(disk.path("ext/samples"), disk.path("ext/before")).unwrap();
    disk.link("../outside", "ext/samples");
    assert_eq!(text(&access, "samples/secret.txt"), Err(FileError::NotFound.to_string()));
    assert_eq!(text(&access, "samples/a.txt"), Ok("alpha".to_owned()), "the folder that was granted");
    fs::rename(disk.path("ext"), disk.path("moved")).unwrap();
    fs::create_dir(disk.path("outside/samples")).unwrap();
    fs::write(disk.path("outside/samples/a.txt"), "secret").unwrap();
    disk.link("outside", "ext");
    assert_eq!(text(&access, "samples/a.txt"), Ok("alpha".to_owned()));
}

/// One process swaps a folder for a link out, again and again, while another reads through it.
#[test]
fn a_race_between_a_folder_and_a_link_is_never_lost() {
    let disk = Disk::new();
    let access = disk.access(&["samples"]);
    fs::write(disk.path("outside/b.txt"), "secret").unwrap();
    let [inner, aside, link] = ["inner", "aside", "link"].map(|name| disk.path("ext/samples").join(name));
    disk.link("../../outside", "ext/samples/link");
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(relaxed) {
                fs::rename(&inner, &aside).unwrap();
                fs::rename(&link, &inner).unwrap();
                fs::rename(&inner, &link).unwrap();
                fs::rename(&aside, &inner).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..5_000 {
            match text(&access, "samples/inner/b.txt") {
                Ok(found) => {
                    assert_eq!(found, "beta");
                    read += 1;
                }
                Err(error) => assert!(!error.contains("secret"), "{error}"),
            }
        }
        done.store(true, relaxed);
        read
    });
    assert!(read > 0, "some must be read for this to show anything");
}

#[test]
fn who_has_no_access_reads_nothing() {
    for path in [".", "..", "/", "Cargo.toml", "src/lib.rs", "/etc/passwd"] {
        assert_eq!(text(&FileAccess::none(), path), outside(), "{path}");
    }
}
