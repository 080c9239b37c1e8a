package mirror

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// fill repeats item between head and tail until that is as large as a manifest may be.
func fill(head, item, tail string) string {
	n := (MaxManifestSize - len(head) - len(tail)) / (len(item) + 1)
	return head + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + tail
}

// TestParseManifestAllocatesLittle: a manifest costs memory in proportion to its bytes, whatever they say.
func TestParseManifestAllocatesLittle(t *testing.T) {
	config := descriptor(v1.MediaTypeImageConfig, digestA)
	image := `{"schemaVersion":2,"config":` + config
	var many strings.Builder
	for i := range 300000 {
		many.WriteString(`"` + strconv.Itoa(i) + `":"",`)
	}
	annotations := `"annotations":{` + many.String() + `"a":""}`
	for name, tt := range map[string]struct {
		mediaType, doc string
		code           Code
	}{
		"empty layers":             {v1.MediaTypeImageManifest, fill(image+`,"layers":[`, "{}", "]}"), CodeManifestInvalid},
		"layers that are numbers":  {v1.MediaTypeImageManifest, fill(image+`,"layers":[`, "0", "]}"), CodeManifestInvalid},
		"empty manifests":          {v1.MediaTypeImageIndex, fill(`{"schemaVersion":2,"manifests":[`, "{}", "]}"), CodeManifestInvalid},
		"layers":                   {v1.MediaTypeImageManifest, fill(image+`,"layers":[`, descriptor("", digestA), "]}"), CodeManifestInvalid},
		"manifests":                {v1.MediaTypeImageIndex, fill(`{"schemaVersion":2,"manifests":[`, descriptor("", digestA), "]}"), CodeManifestInvalid},
		"annotations":              {v1.MediaTypeImageManifest, image + "," + annotations + "}", CodeManifestInvalid},
		"annotations of a layer":   {v1.MediaTypeImageManifest, image + `,"layers":[` + config[:len(config)-1] + "," + annotations + "}]}", ""},
		"annotations of a child":   {v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + config[:len(config)-1] + "," + annotations + "}]}", CodeManifestInvalid},
		"unknown type":             {"application/vnd.future", fill(image+`,"layers":[`, "{}", "]}"), ""},
		"unknown type, subject":    {"application/vnd.future", fill(image+`,"subject":`+config+`,"layers":[`, "{}", "]}"), ""},
		"unknown field":            {v1.MediaTypeImageManifest, fill(image+`,"x":[`, `{"":[]}`, "]}"), ""},
		"platform with features":   {v1.MediaTypeImageIndex, fill(`{"schemaVersion":2,"manifests":[{"platform":{"os.features":[`, `""`, `]}}]}`), CodeManifestInvalid},
		"depth":                    {v1.MediaTypeImageIndex, strings.Repeat("[", MaxManifestSize), CodeManifestInvalid},
		"many fields":              {v1.MediaTypeImageManifest, fill(image+`,`, `"":0`, "}"), ""},
		"one long field":           {v1.MediaTypeImageManifest, image + `,"` + strings.Repeat(`\u0061`, 600000) + `":0}`, ""},
		"fields of an unknown one": {"application/vnd.future", fill(`{`, `"\u006cayers":{}`, "}"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(tt.doc)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, refs, err := ParseManifest(tt.mediaType, data)
			runtime.ReadMemStats(&after)
			if CodeOf(err) != tt.code {
				t.Errorf("%d blobs, %v; want %q", len(refs.Blobs), err, tt.code)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
				t.Errorf("%d bytes allocated for a manifest of %d", n, len(data))
			}
		})
	}
}

func TestParseManifestReadsAFieldAsClientsDo(t *testing.T) {
	layer := descriptor(v1.MediaTypeImageLayerGzip, digestB)
	for name, doc := range map[string]string{
		"case":    `{"SchemaVersion":2,"CONFIG":` + layer + `,"Layers":[` + layer + `]}`,
		"escapes": `{"schemaVersion":2,"c\u006fnfig":` + layer + `, "\u004cayers" : [ ` + layer + ` ] }`,
		"space":   "\r\n{ \"schemaVersion\"\t: 2\n,\"config\" :" + layer + "\n, \"x\" : [ {\"}\\\"\" : -1.5e3 } , null , \"]\"] ,\"layers\":[\n" + layer + "\t] } ",
		"null":    `{"schemaVersion":2,"manifests":null,"subject":null,"annotations":null,"config":` + layer + `,"layers":[` + layer + `]}`,
	} {
		if _, refs, err := ParseManifest(v1.MediaTypeImageManifest, []byte(doc)); err != nil || len(refs.Blobs) != 2 || refs.Subject != nil {
			t.Errorf("%s: %+v, %v", name, refs, err)
		}
	}
	for name, doc := range map[string]string{
		"twice":           `{"schemaVersion":2,"config":` + layer + `,"layers":[],"layers":[` + layer + `]}`,
		"twice, by case":  `{"schemaVersion":2,"config":` + layer + `,"layers":[],"Layers":[` + layer + `]}`,
		"list as object":  `{"schemaVersion":2,"config":` + layer + `,"layers":{}}`,
		"config as list":  `{"schemaVersion":2,"config":[` + layer + `]}`,
		"bad annotations": `{"schemaVersion":2,"config":` + layer + `,"annotations":{"a":1}}`,
		"a list":          `[]`,
		"more behind it":  `{"schemaVersion":2,"config":` + layer + `}{}`,
	} {
		if _, refs, err := ParseManifest(v1.MediaTypeImageManifest, []byte(doc)); CodeOf(err) != CodeManifestInvalid {
			t.Errorf("%s: %+v, %v", name, refs, err)
		}
	}
}
