//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTooMuchOfEverything: more than there can be is refused, or what there is is given, and nobody pays for what was
// announced.
func TestTooMuchOfEverything(t *testing.T) {
	v := startVictim(t)
	before, memory := v.holdings(t), v.memory(t)
	v.stands["STANDING"] = v.must(t, 202, "bob", "POST", "/v2/bob/app/blobs/uploads/", nil, "").header.Get("Location")
	const blob, patch, put = "GET /v2/bob/app/blobs/BOBS_LAYER", "PATCH STANDING", "PUT /v2/bob/app/manifests/v2"
	ranged := func(s string) []string { return []string{"Range: " + s} }
	chunk := func(s string) []string { return []string{"Content-Range: " + s} }
	manifest := func(s string) string { return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,%s}`, indexType, s) }
	opaque := []string{"Content-Type: application/x.other"}
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n) + strings.Repeat("]}", n) }
	const much = 100_000

	v.refuses(t, []attempt{
		{"a range behind the end", "bob", blob, ranged("bytes=12-"), "", "416"},
		{"a range of huge numbers", "bob", blob, ranged("bytes=9223372036854775807-"), "", "416"},
		{"a range of larger ones", "bob", blob, ranged("bytes=0-99999999999999999999"), "", "416"},
		{"a range up to a huge number", "bob", blob, ranged("bytes=0-9223372036854775807"), "", "206 what bob has"},
		{"the last of more than there is", "bob", blob, ranged("bytes=-9223372036854775807"), "", "206 what bob has"},
		{"a range that ends before it begins", "bob", blob, ranged("bytes=5-2"), "", "416"},
		{"a range of letters", "bob", blob, ranged("bytes=a-b"), "", "416"},
		{"a range of another unit", "bob", blob, ranged("lines=0-1"), "", "416"},
		{"a range of nothing", "bob", blob, ranged("bytes=-"), "", "416"},
		{"ranges that overlap", "bob", blob, ranged("bytes=0-11,0-11,0-11"), "", "200 what bob has"},
		{"thousands of ranges", "bob", blob, ranged("bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", 10_000), ",")), "", "200 what bob has"},
		{"ranges in many headers", "bob", blob, slices.Repeat([]string{"Range: bytes=0-0"}, 10), "", "206 w"},
		{"a range of a manifest", "bob", "GET /v2/bob/app/manifests/v1", ranged("bytes=0-0"), "", "200 schemaVersion"},

		{"a large header", "bob", blob, []string{"X: " + strings.Repeat("x", much)}, "", "431"},
		{"many headers", "bob", blob, []string{strings.Repeat("X: y\r\n", much/4) + "X: y"}, "", "431"},
		{"a large URL", "bob", "GET /v2/" + strings.Repeat("a/", much) + "manifests/1", nil, "", "431"},
		{"a large query", "bob", "GET /v2/bob/app/tags/list?last=" + strings.Repeat("x", much), nil, "", "431"},
		{"a large method", "bob", strings.Repeat("M", much) + " /v2/", nil, "", "431"},
		{"a large password", "", "GET /v2/", []string{"Authorization: Basic " + strings.Repeat("QUFB", 10_000) + "Og=="}, "", "401"},
		{"a large token", "", "GET /v2/bob/app/manifests/v1", []string{"Authorization: Bearer " + strings.Repeat("a.", 20_000)}, "", "401"},

		{"a manifest of too much", "bob", put, opaque, strings.Repeat(" ", 4<<20) + "{}", "413 MANIFEST_TOO_LARGE"},
		{"a manifest of too much, in chunks", "bob", put, append(opaque, "Transfer-Encoding: chunked"), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 5<<20, strings.Repeat(" ", 5<<20)), "413 MANIFEST_TOO_LARGE"},
		{"a manifest that is announced to be huge", "bob", put, append(opaque, "Content-Length: 4611686018427387904"), "{}" + cutOff, "400 MANIFEST_INVALID"},
		{"a manifest that never ends", "bob", put, append(opaque, "Transfer-Encoding: chunked"), "ffffff\r\n{}" + cutOff, "400 MANIFEST_INVALID"},
		{"a deep manifest", "bob", put, nil, manifest(`"annotations":` + deep(much)), "400 MANIFEST_INVALID"},
		{"a deep config", "bob", put, nil, manifest(`"config":` + deep(1000)), "400 MANIFEST_INVALID"},
		{"a deep list", "bob", put, nil, manifest(`"manifests":[` + deep(1000) + `]`), "400 MANIFEST_INVALID"},
		{"a manifest of many", "bob", put, nil, manifest(`"manifests":[` + strings.TrimSuffix(strings.Repeat(`{"mediaType":"a/b","digest":"NOTHING","size":1},`, 20_001), ",") + `]`), "400 MANIFEST_INVALID"},
		{"a manifest of a negative size", "bob", put, nil, manifest(`"manifests":[{"mediaType":"a/b","digest":"NOTHING","size":-1}]`), "400 MANIFEST_INVALID"},
		{"a manifest of a size that is no number", "bob", put, nil, manifest(`"manifests":[{"mediaType":"a/b","digest":"NOTHING","size":1e400}]`), "400 MANIFEST_INVALID"},
		{"a manifest that says a thing twice", "bob", put, nil, manifest(`"manifests":[],"Manifests":[]`), "400 MANIFEST_INVALID"},
		{"a manifest that is none", "bob", put, []string{"Content-Type: " + indexType}, "\x00\xff", "400 MANIFEST_INVALID"},
		{"a manifest of nothing", "bob", put, []string{"Content-Type: " + indexType}, "", "400 MANIFEST_INVALID"},
		{"a type that is none", "bob", put, []string{"Content-Type: text"}, "{}", "400 MANIFEST_INVALID"},
		{"a type with more in it", "bob", put, []string{"Content-Type: a/b\u2028c"}, "{}", "400 MANIFEST_INVALID"},

		{"a chunk from elsewhere on", "bob", patch, chunk("5-9"), "12345", "416 RANGE_INVALID"},
		{"a chunk that says less than it has", "bob", patch, chunk("0-3"), "12345", "400 SIZE_INVALID"},
		{"a chunk that says more", "bob", patch, chunk("0-9"), "12345", "400 SIZE_INVALID"},
		{"a chunk that ends before it begins", "bob", patch, chunk("4-0"), "12345", "416 RANGE_INVALID"},
		{"a chunk of huge numbers", "bob", patch, chunk("0-9223372036854775807"), "12345", "416 RANGE_INVALID"},
		{"a chunk of larger ones", "bob", patch, chunk("0-99999999999999999999"), "12345", "416 RANGE_INVALID"},
		{"a chunk of nothing", "bob", patch, chunk("-"), "12345", "416 RANGE_INVALID"},
		{"a chunk with a sign", "bob", patch, chunk("-1-3"), "12345", "416 RANGE_INVALID"},
		{"a chunk of many ranges", "bob", patch, chunk("0-1,2-3"), "1234", "416 RANGE_INVALID"},
		{"a chunk of another unit", "bob", patch, chunk("lines 0-3/4"), "1234", "416 RANGE_INVALID"},
		{"an end with a chunk from elsewhere", "bob", "PUT STANDING?digest=NOTHING", chunk("5-9"), "12345", "416 RANGE_INVALID"},
		{"an end without a digest", "bob", "PUT STANDING", nil, "12345", "400 DIGEST_INVALID"},
		{"an end with a digest that is none", "bob", "PUT STANDING?digest=sha256:../../x", nil, "12345", "400 DIGEST_INVALID"},
		{"a whole blob that is announced to be huge", "bob", "POST /v2/bob/app/blobs/uploads/?digest=NOTHING", []string{"Content-Length: 4611686018427387904"}, "1" + cutOff, "400 BLOB_UPLOAD_INVALID"},
		{"a chunk that is shorter than announced", "bob", patch, []string{"Content-Length: 100", "Content-Range: 7-106"}, "1" + cutOff, "416 RANGE_INVALID"},

		{"a blob by two algorithms", "bob", "POST /v2/bob/app/blobs/uploads/?digest-algorithm=sha512&digest=NOTHING", nil, "x", "400 DIGEST_INVALID"},
		{"a blob of another algorithm's digest", "bob", "POST /v2/bob/app/blobs/uploads/?digest=sha512:" + strings.Repeat("0", 128), nil, "x", "400 DIGEST_INVALID"},
		{"a manifest of another algorithm's digest", "bob", "PUT /v2/bob/app/manifests/sha512:" + strings.Repeat("0", 128), opaque, "{}", "400 DIGEST_INVALID"},
		{"an upload of another algorithm", "bob", "POST /v2/bob/app/blobs/uploads/?digest-algorithm=sha512", nil, "", "202"},
		{"a manifest under thousands of tags, one of them none", "bob", "PUT /v2/bob/app/manifests/BOBS?" + strings.Repeat("tag=x&", 8000) + "tag=-", nil, "", "400 MANIFEST_INVALID"},
		{"a list of too many", "bob", "GET /v2/bob/app/tags/list?n=99999999999999999999", nil, "", "400 PAGINATION_NUMBER_INVALID"},
		{"a list of many", "bob", "GET /v2/bob/app/tags/list?n=9223372036854775807", nil, "", `200 "tags":["v1"]`},
		{"a list of less than nothing", "bob", "GET /v2/bob/app/tags/list?n=-1", nil, "", "400 PAGINATION_NUMBER_INVALID"},
		{"a list of hex", "bob", "GET /v2/_catalog?n=0x10", nil, "", "400 PAGINATION_NUMBER_INVALID"},
		{"a list from what is no name on", "bob", "GET /v2/_catalog?last=%00%ff../..", nil, "", `200 "bob/app"`},
		{"a list of referrers of many", "bob", "GET /v2/bob/app/referrers/BOBS?n=9223372036854775807&last=%ff&artifactType=%00", nil, "", `200 "manifests":[]`},
		{"a body that nobody reads", "bob", "GET /v2/bob/app/tags/list", nil, strings.Repeat("x", much), `200 "tags":["v1"]`},
	})
	v.methods(t)
	v.must(t, 204, "bob", "DELETE", "STANDING", nil, "")
	delete(v.stands, "STANDING")
	v.wantSame(t, before)
	if now := v.memory(t); now > memory+128<<20 {
		t.Errorf("the mirror takes %d MiB, %d before", now>>20, memory>>20)
	}
}

// methods tries what no endpoint knows, and what others do.
func (v *victim) methods(t *testing.T) {
	t.Helper()
	var attempts []attempt
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/bob/app/tags/list", "/v2/bob/app/manifests/v1", "/v2/bob/app/blobs/BOBS_LAYER", "/v2/bob/app/referrers/BOBS", "STANDING"} {
		for _, method := range []string{"TRACE", "OPTIONS", "PROPFIND", "get", "POST", "MOVE"} {
			attempts = append(attempts, attempt{method + " " + path, "admin", method + " " + path, nil, "", "405 UNSUPPORTED"})
		}
	}
	v.refuses(t, append(attempts,
		attempt{"a list deleted", "admin", "DELETE /v2/_catalog", nil, "", "405 UNSUPPORTED"},
		attempt{"a repository deleted", "admin", "DELETE /v2/bob/app", nil, "", "404 NAME_UNKNOWN"},
		attempt{"a blob put", "admin", "PUT /v2/bob/app/blobs/NOTHING", nil, "x", "405 UNSUPPORTED"},
		attempt{"tags put", "admin", "PUT /v2/bob/app/tags/list", nil, "x", "405 UNSUPPORTED"},
	))
}

// memory is what of the mirror is in memory, in bytes, and was never in a file.
func (s *server) memory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "RssAnon:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("the kernel does not say how much memory the mirror takes")
	return 0
}
