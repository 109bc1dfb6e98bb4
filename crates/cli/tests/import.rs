//! What drawn objects and masks of other programs become when they are imported.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Lab, png};
use image::{GrayImage, ImageBuffer, Luma, RgbImage};

const SIZE: u32 = 20;

/// Images a and b, 20 pixels wide and high.
fn lab() -> Lab {
    let lab = Lab::new();
    for image in ["a", "b"] {
        lab.write(
            &format!("images/{image}.png"),
            png(&RgbImage::new(SIZE, SIZE).into()),
        );
    }
    lab
}

/// A square as a ring of GeoJSON.
fn ring(from: u32, to: u32) -> String {
    format!("[[{from},{from}],[{to},{from}],[{to},{to}],[{from},{to}],[{from},{from}]]")
}

/// A file of outlined objects: class, kind of geometry and its coordinates.
fn geojson(objects: &[(&str, &str, String)]) -> String {
    let features: Vec<String> = objects
        .iter()
        .map(|(class, kind, coordinates)| {
            format!(
                r#"{{"type":"Feature","geometry":{{"type":"{kind}","coordinates":{coordinates}}},
                "properties":{{"classification":{{"name":"{class}"}}}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"type":"FeatureCollection","features":[{}]}}"#,
        features.join(",")
    )
}

fn square(class: &str, from: u32, to: u32) -> (&str, &str, String) {
    (class, "Polygon", format!("[{}]", ring(from, to)))
}

/// A file of COCO about the images a and b; of each annotation what stands beside its ids.
fn coco(annotations: &[(u32, &str)]) -> String {
    let annotations: Vec<String> = annotations
        .iter()
        .map(|(image, rest)| format!(r#"{{"image_id":{image},"category_id":1,{rest}}}"#))
        .collect();
    format!(
        r#"{{"images":[{{"id":1,"file_name":"a.png","width":20,"height":20}},{{"id":2,"file_name":"b.png"}}],
        "categories":[{{"id":1,"name":"cell"}}],"annotations":[{}]}}"#,
        annotations.join(",")
    )
}

fn import<'a>(format: &'a str, input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &["import", format, input, "data", "--images", "images"],
        more,
    ]
    .concat()
}

/// What a table of the first version says of an image.
fn row(lab: &Lab, table: &str, image: &str) -> Option<String> {
    let table = lab.read(&format!("data/labels/v1/{table}.csv"));
    let about = format!("image,{image},,labels,");
    let row = table.lines().find(|line| line.starts_with(&about));
    row.map(|row| row[about.len()..].to_owned())
}

/// The numbers of a mask of the first version at places on the diagonal.
fn diagonal<const N: usize>(lab: &Lab, image: &str, places: [u32; N]) -> [u16; N] {
    let row = row(lab, "masks", image).unwrap();
    let file = row.split(',').nth(1).unwrap();
    let mask = image::open(lab.path(&format!("data/labels/v1/{file}"))).unwrap();
    // Not `into_luma16`, which would stretch 8 bits.
    let at = |place| match &mask {
        image::DynamicImage::ImageLuma8(mask) => mask.get_pixel(place, place).0[0].into(),
        mask => mask.as_luma16().unwrap().get_pixel(place, place).0[0],
    };
    places.map(at)
}

#[test]
fn outlines_become_instance_masks() {
    let lab = lab();
    let parts = format!("[[{},{}],[{}]]", ring(0, 6), ring(2, 4), ring(16, 18));
    let objects = [
        ("nucleus", "MultiPolygon", parts),
        square("mitosis", 8, 14),
        square("nucleus", 10, 12),
    ];
    lab.write("qupath/a.geojson", geojson(&objects));
    lab.write("qupath/b.geojson", geojson(&[]));
    let output = lab.run(&import("geojson", "qupath", &[]));
    let (said, warned) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(
        said.contains(
            "2 images, 3 objects as instance masks of mitosis / nucleus by labels, as v1"
        ),
        "{said}"
    );
    assert!(
        warned.contains("1 object drawn over parts of earlier ones"),
        "{warned}"
    );
    // One object of two parts with a hole; the last lies on top.
    assert_eq!(
        diagonal(&lab, "a", [1, 3, 5, 7, 9, 11, 13, 17]),
        [1, 0, 1, 0, 2, 3, 2, 1]
    );
    assert!(
        row(&lab, "masks", "a")
            .unwrap()
            .contains("nucleus|mitosis|nucleus")
    );
    // That there is nothing on b is kept.
    assert_eq!(diagonal(&lab, "b", [1]), [0]);
    assert!(lab.read("data/dataset.toml").contains("segmentation"));
    assert!(lab.ok(&["status", "data"]).contains("nucleus"));
}

#[test]
fn imported_outlines_train_a_network() {
    let lab = lab();
    for (image, from) in [("a", 2), ("b", 6)] {
        let picture = RgbImage::from_fn(SIZE, SIZE, |x, y| {
            let inside = (from..from + 8).contains(&x) && (from..from + 8).contains(&y);
            image::Rgb(if inside { [60, 30, 60] } else { [200; 3] })
        });
        lab.write(&format!("images/{image}.png"), png(&picture.into()));
        lab.write(
            &format!("qupath/{image}.geojson"),
            geojson(&[square("nucleus", from, from + 8)]),
        );
    }
    lab.ok(&import("geojson", "qupath", &[]));
    lab.ok(&import("geojson", "qupath", &["--as-reference", "gold"]));
    lab.write(
        "recipe.toml",
        "folds = 2\n[network.unet]\nwidths = [4, 8]\n[train]\nepochs = 1\nbatch_size = 1\ncrop = 16\n",
    );
    let trained = lab.ok(&["train", "data", "--recipe", "recipe.toml", "--out", "run"]);
    assert!(trained.contains("F1 at IoU 0.5"), "{trained}");
    lab.ok(&["evaluate", "data", "v1", "--reference", "gold"]);
}

#[test]
fn outlines_of_two_experts_are_compared_and_fused() {
    let lab = lab();
    lab.write("anna/a.geojson", geojson(&[square("nucleus", 2, 12)]));
    lab.write("ben/a.geojson", geojson(&[square("nucleus", 3, 12)]));
    for expert in ["anna", "ben"] {
        lab.ok(&import("geojson", expert, &["--source", expert]));
    }
    lab.ok(&["agreement", "data"]);
    lab.ok(&["fuse", "data"]);
    lab.ok(&["export", "data", "out", "--format", "geojson"]);
    assert!(lab.read("out/a.geojson").contains("nucleus"));
}

#[test]
fn classes_of_other_names_are_refused_or_renamed() {
    let lab = lab();
    let bare = geojson(&[square("none", 2, 6)]).replace(r#""classification":{"name":"none"}"#, "");
    lab.write("first/a.geojson", bare);
    let first = |more| import("geojson", "first", more);
    let noted = lab.warns(&first(&[]));
    assert!(
        noted.contains("1 object without a class, called `object`; `--map object=NAME`"),
        "{noted}"
    );
    assert!(row(&lab, "masks", "a").unwrap().contains("object"));
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    let noted = lab.warns(&first(&[
        "--map",
        "object=nucleus",
        "--classes",
        "nucleus,mitosis",
    ]));
    assert!(!noted.contains("without a class"), "{noted}");
    assert!(row(&lab, "masks", "a").unwrap().contains("nucleus"));

    let objects = [square("Mitotic figure", 2, 6), square("Tumor", 8, 12)];
    lab.write("second/b.geojson", geojson(&objects));
    let second = |more| import("geojson", "second", more);
    let refused = lab.fails(&second(&["--source", "ben"]));
    assert!(
        refused.contains(
            "second has objects of the classes Mitotic figure, Tumor, but the classes of the dataset are \
             nucleus, mitosis"
        ) && refused.contains("`--map 'Mitotic figure=nucleus'`"),
        "{refused}"
    );
    let both = [
        "--source",
        "ben",
        "--map",
        "Mitotic figure=mitosis,Tumor=nucleus,Tumour=nucleus",
    ];
    let warned = lab.warns(&second(&both));
    assert!(
        warned.contains("no object has the class `Tumour` of `--map`"),
        "{warned}"
    );
    let masks = lab.read("data/labels/v2/masks.csv");
    assert!(masks.contains("mitosis|nucleus"), "{masks}");
    let twice = lab.fails(&second(&["--map", "Tumor=nucleus,Tumor=mitosis"]));
    assert!(twice.contains("`--map` renames `Tumor` twice"), "{twice}");
    let strange = lab.fails(&second(&["--map", "Tumor"]));
    assert!(strange.contains("not OLD=NEW"), "{strange}");
}

#[test]
fn outlines_that_are_all_rectangles_are_told() {
    let lab = lab();
    lab.write("qupath/a.geojson", geojson(&[square("cell", 2, 6)]));
    let noted = lab.warns(&import("geojson", "qupath", &[]));
    assert!(
        noted.contains("all outlines are upright rectangles"),
        "{noted}"
    );
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    assert_eq!(
        lab.warns(&import("geojson", "qupath", &["--as", "boxes"])),
        ""
    );
    assert_eq!(row(&lab, "boxes", "a").unwrap(), "2,2,6,6,cell,1");
}

#[test]
fn objects_without_a_pixel_are_left_out_and_named() {
    let lab = lab();
    let objects = [
        square("cell", 3, 5),
        square("cell", 30, 40),
        square("cell", 2, 9),
    ];
    lab.write("qupath/a.geojson", geojson(&objects));
    let warned = lab.warns(&import("geojson", "qupath", &[]));
    for line in [
        "a.geojson, object 1 (cell): left out: later ones cover it",
        "a.geojson, object 2 (cell): left out: no pixel of the image lies in it",
    ] {
        assert!(warned.contains(line), "{warned}");
    }
    assert_eq!(diagonal(&lab, "a", [1, 4, 8]), [0, 1, 1]);
}

#[test]
fn rectangles_beside_outlines_need_a_choice() {
    let lab = lab();
    let outline = r#""segmentation":[[0,0,4,0,4,4,0,4]],"bbox":[0,0,5,5]"#;
    let annotations = [
        (1, outline),
        (1, r#""segmentation":[[]],"bbox":[10,10,6,6]"#),
        (2, r#""bbox":[2,2,4,4]"#),
    ];
    lab.write("coco.json", coco(&annotations));
    let mixed = lab.fails(&import("coco", "coco.json", &[]));
    assert!(
        mixed.starts_with("exit 2")
            && mixed.contains("coco.json: there are 2 rectangles and 1 outline")
            && mixed.contains("`--as boxes`")
            && mixed.contains("`--as instances`"),
        "{mixed}"
    );
    assert!(!lab.path("data").exists());
    // The box of the file, not that of its outline.
    lab.ok(&import("coco", "coco.json", &["--as", "boxes"]));
    assert_eq!(row(&lab, "boxes", "a").unwrap(), "0,0,5,5,cell,1");
    assert_eq!(row(&lab, "looked", "a").unwrap(), "boxes,yes,2,1");
    assert!(lab.read("data/dataset.toml").contains("detection"));
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    lab.ok(&import("coco", "coco.json", &["--as", "instances"]));
    assert_eq!(diagonal(&lab, "a", [1, 4, 12, 17]), [1, 0, 2, 0]);
}

#[test]
fn class_masks_have_a_background_if_it_is_asked_for() {
    let lab = lab();
    let objects = [square("tumour", 2, 10), square("necrosis", 4, 6)];
    lab.write("qupath/a.geojson", geojson(&objects));
    lab.write("qupath/b.geojson", geojson(&[]));
    let as_masks = ["--as", "masks"];
    let said = lab.ok(&import("geojson", "qupath", &as_masks));
    assert!(said.contains("class masks of necrosis / tumour"), "{said}");
    assert_eq!(diagonal(&lab, "a", [1, 3, 5, 12]), [255, 1, 0, 255]);
    assert_eq!(row(&lab, "masks", "b"), None);
    std::fs::remove_dir_all(lab.path("data")).unwrap();

    let background = ["--background", "stroma"];
    let said = lab.ok(&import(
        "geojson",
        "qupath",
        &[as_masks, background].concat(),
    ));
    assert!(said.contains("stroma / necrosis / tumour"), "{said}");
    assert_eq!(diagonal(&lab, "a", [1, 3, 5, 12]), [0, 2, 1, 0]);
    assert_eq!(diagonal(&lab, "b", [1]), [0]);

    let alone = lab.fails(&import("geojson", "qupath", &background));
    assert!(
        alone.contains("`--background` is for `--as masks` alone"),
        "{alone}"
    );
    let classes = ["--classes", "tumour,necrosis"];
    let strange = lab.fails(&import(
        "geojson",
        "qupath",
        &[as_masks, background, classes].concat(),
    ));
    assert!(strange.contains("there is no class `stroma`"), "{strange}");
}

#[test]
fn what_is_left_out_is_never_background() {
    let lab = lab();
    let broken = ("cell", "Polygon", "[[[1,1],[2,2]]]".to_owned());
    lab.write("qupath/a.geojson", geojson(&[square("cell", 2, 6), broken]));
    lab.write("qupath/b.geojson", geojson(&[square("cell", 2, 6)]));
    let warned = lab.warns(&import("geojson", "qupath", &[]));
    assert!(
        warned.contains("1 image of which objects could not be read"),
        "{warned}"
    );
    assert_eq!(diagonal(&lab, "a", [1, 3]), [65535, 1]);
    assert_eq!(diagonal(&lab, "b", [1, 3]), [0, 1]);
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    lab.ok(&import("geojson", "qupath", &["--as", "boxes"]));
    assert_eq!(row(&lab, "looked", "a").unwrap(), "boxes,no,1,1");
    assert_eq!(row(&lab, "looked", "b").unwrap(), "boxes,yes,1,1");
    std::fs::remove_dir_all(lab.path("data")).unwrap();

    // So are points beside outlines.
    let point = ("cell", "Point", "[15,15]".to_owned());
    lab.write(
        "qupath/a.geojson",
        geojson(&[square("cell", 2, 6), point.clone()]),
    );
    let warned = lab.warns(&import("geojson", "qupath", &[]));
    assert!(warned.contains("1 point left out"), "{warned}");
    assert_eq!(diagonal(&lab, "a", [1, 3]), [65535, 1]);
    std::fs::remove_dir_all(lab.path("data")).unwrap();

    // Points alone are kept, and where none is, too.
    lab.write("points/a.geojson", geojson(&[point]));
    lab.write("points/b.geojson", geojson(&[]));
    let said = lab.ok(&import("geojson", "points", &[]));
    assert!(said.contains("1 object as points of cell"), "{said}");
    assert_eq!(row(&lab, "looked", "b").unwrap(), "points,yes,0,1");
    let boxes = lab.fails(&import("geojson", "points", &["--as", "boxes"]));
    assert!(boxes.contains("points, which have no area"), "{boxes}");
}

#[test]
fn crowds_are_neither_objects_nor_background() {
    let lab = lab();
    // Columns 0 to 9 in all rows.
    let crowd = r#""segmentation":{"size":[20,20],"counts":[0,200,200]},"iscrowd":1"#;
    let cell = r#""segmentation":[[2,2,6,2,6,6,2,6]]"#;
    lab.write("coco.json", coco(&[(1, cell), (1, crowd), (2, cell)]));
    let warned = lab.warns(&import("coco", "coco.json", &[]));
    assert!(
        warned.contains("1 region of crowds (`iscrowd`) left out"),
        "{warned}"
    );
    assert_eq!(diagonal(&lab, "a", [1, 3, 8, 12]), [65535, 1, 65535, 0]);
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    lab.ok(&import("coco", "coco.json", &["--as", "boxes"]));
    assert_eq!(row(&lab, "looked", "a").unwrap(), "boxes,no,1,1");
    assert_eq!(row(&lab, "looked", "b").unwrap(), "boxes,yes,1,1");
}

#[test]
fn incomplete_labels_leave_the_rest_open() {
    let lab = lab();
    lab.write("qupath/a.geojson", geojson(&[square("cell", 2, 6)]));
    lab.write("qupath/b.geojson", geojson(&[]));
    let said = lab.ok(&import("geojson", "qupath", &["--incomplete"]));
    assert!(said.contains("1 image nobody labelled"), "{said}");
    assert_eq!(diagonal(&lab, "a", [1, 3]), [65535, 1]);
    let more = ["--incomplete", "--as", "masks", "--background", "stroma"];
    let refused = lab.fails(&import("geojson", "qupath", &more));
    assert!(refused.contains("Leave out one of them"), "{refused}");
}

#[test]
fn labels_of_images_of_another_size_are_refused() {
    let lab = lab();
    let small = coco(&[(1, r#""bbox":[2,2,4,4]"#)]).replace("\"width\":20", "\"width\":40");
    lab.write("coco.json", small);
    let said = lab.fails(&import("coco", "coco.json", &[]));
    assert!(
        said.contains("coco.json, image a.png is about an image of 40 × 20 pixels")
            && said.contains("images/a.png has 20 × 20"),
        "{said}"
    );
    lab.write(
        "voc/a.xml",
        "<annotation><size><width>10</width><height>20</height></size></annotation>",
    );
    let said = lab.fails(&import("voc", "voc", &["--classes", "cell"]));
    assert!(
        said.contains("a.xml is about an image of 10 × 20"),
        "{said}"
    );
    lab.write(
        "labelme/a.json",
        r#"{"shapes":[],"imageHeight":30,"imageWidth":20}"#,
    );
    let said = lab.fails(&import("labelme", "labelme", &["--classes", "cell"]));
    assert!(
        said.contains("a.json is about an image of 20 × 30"),
        "{said}"
    );

    lab.write("masks/a.png", png(&GrayImage::new(10, 12).into()));
    for format in ["masks", "instances"] {
        let said = lab.fails(&import(format, "masks", &["--classes", "cell"]));
        assert!(
            said.contains("a.png has 10 × 12 pixels") && said.contains("images/a.png has 20 × 20"),
            "{said}"
        );
    }
}

#[test]
fn two_files_about_one_image_are_refused() {
    let lab = lab();
    let both = |said: String, one: &str, other: &str| {
        assert!(
            said.starts_with("exit 3")
                && said.contains(one)
                && said.contains(other)
                && said.contains("are both about the image images/a.png"),
            "{said}"
        );
    };
    let twice = coco(&[]).replace("\"b.png\"", "\"other/a.png\"");
    lab.write("coco.json", twice);
    let said = lab.fails(&import("coco", "coco.json", &["--classes", "cell"]));
    both(said, "image a.png and", "image other/a.png");
    lab.write("qupath/a.geojson", geojson(&[square("cell", 2, 6)]));
    lab.write("qupath/a.json", geojson(&[]));
    let said = lab.fails(&import("geojson", "qupath", &[]));
    both(said, "a.geojson", "a.json");
    let mask = ImageBuffer::<Luma<u16>, Vec<u16>>::new(SIZE, SIZE);
    lab.write("masks/a.png", png(&mask.clone().into()));
    mask.save(lab.path("masks/a.tif")).unwrap();
    let said = lab.fails(&import("instances", "masks", &[]));
    both(said, "a.png", "a.tif");
}

#[test]
fn masks_of_black_and_white_need_a_meaning() {
    let lab = lab();
    let mask = |white: u8| {
        png(&GrayImage::from_fn(SIZE, SIZE, |x, _| Luma([if x < 5 { white } else { 0 }])).into())
    };
    lab.write("masks/a.png", mask(255));
    lab.write("masks/b.png", mask(0));
    let said = lab.fails(&import("masks", "masks", &[]));
    assert!(
        said.contains("the numbers 0 and 255 alone")
            && said.contains("`--values 0=background,255=nucleus`"),
        "{said}"
    );
    let said = lab.fails(&import("masks", "masks", &["--classes", "glass,cell"]));
    assert!(said.contains("`--values 0=glass,255=cell`"), "{said}");
    lab.ok(&import("masks", "masks", &["--values", "0=glass,255=cell"]));
    assert_eq!(diagonal(&lab, "a", [1, 9]), [1, 0]);
    std::fs::remove_dir_all(lab.path("data")).unwrap();
    // With another class, 255 is what nobody labelled.
    lab.write("masks/b.png", mask(1));
    lab.ok(&import("masks", "masks", &[]));
    assert_eq!(diagonal(&lab, "a", [1, 9]), [255, 0]);
}
