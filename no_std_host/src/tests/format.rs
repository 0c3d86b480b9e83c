//! docs/flash-format.md says what is written.

use crate::{
    disk::{Disk, Label},
    flash::Region,
    head::{Addition, Head, Piece, Place},
};

use super::{Serial, change, job, open};
use toehold::Store;

fn head() -> Head {
    Head {
        number: 300,
        next_piece: 5,
        record: Place::Here(b"record".to_vec()),
        base: Some(Place::Piece(Piece { number: 2, bytes: 1_500, crc32: 0x0102_0304 })),
        newest: Place::Here(b"checkpoint".to_vec()),
        journal: vec![Piece { number: 4, bytes: 600, crc32: 0xffff_fffe }],
        tail: b"toj".to_vec(),
    }
}

fn addition() -> Addition {
    let newest = Some(b"checkpoint".to_vec());
    Addition { head: 300, record: None, new_run: true, journal: b"toj".to_vec(), newest }
}

/// The bytes that the document shows.
#[test]
fn the_documented_bytes_are_true() {
    let document = include_str!("../../../docs/flash-format.md");
    for (name, bytes) in [("head", head().encode()), ("addition", addition().encode())] {
        let (_, rest) = document.split_once(&format!("```text {name}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let digits: String = block
            .lines()
            .map(|line| line.split("  ").next().unwrap_or_default())
            .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
            .collect();
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, expected, "{name}");
    }
    assert_eq!(Head::decode(&head().encode()), Ok(head()));
    assert_eq!(Addition::decode(&addition().encode()), Ok(addition()));
}

/// What the document says of the file system, and nothing else, is there.
#[test]
fn the_documented_files_are_there() {
    let flash = Serial::new(32);
    let mut store = open(&flash);
    store.change(job(0xab), &change(1, 2_000)).unwrap();
    store.change(job(0xab), &change(2, 20)).unwrap();
    super::packages::install(&mut store, "org.example", b"package").unwrap();
    drop(store);
    let mut volume = crate::volume::Volume::<_, 32>::new(flash);
    let names = |disk: &Disk<'_, '_, Region<Serial, 32>>, folder| {
        let names = disk.fs.read_dir_and_then(folder, |entries| {
            entries.skip(2).map(|entry| entry.map(|entry| entry.file_name().as_str().to_string())).collect()
        });
        names.map(|names: Vec<String>| names.join(" "))
    };
    volume
        .with(|disk| {
            assert_eq!(disk.label()?, Label::Version(1));
            assert_eq!(names(disk, littlefs2::path!("/"))?, "jobs packages");
            let id = "000000000000000000000000000000ab";
            assert_eq!(names(disk, littlefs2::path!("/jobs"))?, format!("{id}.0 {id}"));
            assert_eq!(names(disk, littlefs2::path!("/packages"))?, "org.example");
            Ok(())
        })
        .unwrap();
}
