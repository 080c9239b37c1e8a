//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Who may do what in startVictim. What a repository is called by its short name is not what it stands for.
const victimRules = `offline: true
auth:
  htpasswdFile: %s
  rules:
    - {users: [admin], repositories: ["**"], actions: [pull, push, delete]}
    - {users: [alice], repositories: ["alice/**"], actions: [pull, push, delete]}
    - {users: [bob], repositories: ["bob/**"], actions: [pull, push, delete]}
    - {users: [carol], repositories: ["carol/**"], actions: [pull]}
    - {users: [dora], repositories: ["dora/**"], actions: [pull, push]}
    - {users: [anonymous], repositories: ["public/**", hidden], actions: [pull]}
`

// startVictim starts a mirror in which alice and bob have repositories of their own.
func startVictim(t *testing.T) *victim {
	t.Helper()
	dir := tempDir(t)
	names := users(t, dir, "admin", "alice", "bob", "carol", "dora")
	file := writeFile(t, dir, "mirror.yaml", fmt.Sprintf(victimRules, names))
	v := &victim{startMirror(t, "--config", file), names, map[string]string{"NOTHING": "sha256:" + strings.Repeat("0", 64)}}
	v.image(t, "SECRET", "alice", "alice/app", "v1", secretText+" alice")
	v.image(t, "BOBS", "bob", "bob/app", "v1", "what bob has")
	v.image(t, "PUBLIC", "admin", "public/app", "v1", "what everybody may read")
	v.image(t, "SECRET_HIDDEN", "admin", "library/hidden", "v1", secretText+" who knows the long name")
	v.image(t, "CAROLS", "admin", "carol/app", "v1", "what carol may look at")
	v.image(t, "DORAS", "dora", "dora/app", "v1", "what dora cannot take back")
	v.manifest(t, "SECRET_REFERRER", "alice", "alice/app", "", v.expand(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/x.note",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"BOBS_CONFIG","size":2},"layers":[],`+
		`"subject":{"mediaType":%[1]q,"digest":"SECRET","size":1}}`, imageType)))
	return v
}

// TestNobodyReadsOrChangesWhatIsNotTheirs: what a request says beside the repository that its client may use gets it nothing.
func TestNobodyReadsOrChangesWhatIsNotTheirs(t *testing.T) {
	v := startVictim(t)
	before := v.holdings(t)
	upload := v.must(t, 202, "alice", "POST", "/v2/alice/app/blobs/uploads/", nil, "").header.Get("Location")
	id := filepath.Base(upload)
	v.must(t, 202, "alice", "PATCH", upload, []byte("half of it"), "application/octet-stream")
	bobs := func(layer string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"BOBS_CONFIG","size":2},`+
			`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, imageType, layer, len("what bob has"))
	}
	index := []string{"Content-Type: " + indexType}
	v.refuses(t, []attempt{
		{"a manifest, by nobody", "", "GET /v2/alice/app/manifests/v1", nil, "", "401 docker login"},
		{"a manifest, by another", "bob", "GET /v2/alice/app/manifests/v1", nil, "", "403 DENIED"},
		{"its head", "bob", "HEAD /v2/alice/app/manifests/v1", nil, "", "403"},
		{"one that is not there is refused the same", "bob", "GET /v2/alice/app/manifests/v9", nil, "", "403 DENIED"},
		{"and so is a repository that is not there", "bob", "GET /v2/alice/none/manifests/v9", nil, "", "403 DENIED"},
		{"a wrong password", "", "GET /v2/public/app/manifests/v1", []string{"Authorization: Basic Ym9iOmFsaWNl"}, "", "401 wrong"},
		{"a password of no user", "", "GET /v2/public/app/manifests/v1", []string{"Authorization: Basic bm9ib2R5Og=="}, "", "401 wrong"},
		{"an authorization that is none", "", "GET /v2/public/app/manifests/v1", []string{"Authorization: Digest username=alice"}, "", "401 malformed"},
		{"a token of somebody else", "", "GET /v2/alice/app/manifests/v1", []string{"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Im1pcnJvciIsImF1ZCI6Im1pcnJvciJ9."}, "", "401 token"},
		{"two authorizations", "bob", "GET /v2/alice/app/manifests/v1", []string{"X-Authorization: " + basicAuth("alice")}, "", "403 DENIED"},
		{"the tags", "bob", "GET /v2/alice/app/tags/list", nil, "", "403 DENIED"},
		{"the referrers", "bob", "GET /v2/alice/app/referrers/SECRET", nil, "", "403 DENIED"},
		{"the referrers, by nobody", "", "GET /v2/alice/app/referrers/SECRET", nil, "", "401 UNAUTHORIZED"},
		{"its name in capitals", "bob", "GET /v2/Alice/app/manifests/v1", nil, "", "400 NAME_INVALID"},
		{"its full name", "bob", "GET /v2/docker.io/alice/app/manifests/v1", nil, "", "403 DENIED"},
		{"another name of its host", "bob", "GET /v2/index.docker.io/alice/app/manifests/v1", nil, "", "403 DENIED"},
		{"its host by ns", "bob", "GET /v2/alice/app/manifests/v1?ns=registry-1.docker.io", nil, "", "403 DENIED"},
		{"a host in capitals", "bob", "GET /v2/DOCKER.IO/alice/app/manifests/v1", nil, "", "403 DENIED"},
		{"two ns", "bob", "GET /v2/bob/app/manifests/v1?ns=docker.io&ns=ghcr.io&ns=alice", nil, "", "200"},
		{"what stands behind a short name", "", "GET /v2/hidden/manifests/v1", nil, "", "404 MANIFEST_UNKNOWN"},
		{"its blob", "", "GET /v2/hidden/blobs/" + "SECRET_HIDDEN_LAYER", nil, "", "404 BLOB_UNKNOWN"},
		{"its tags", "", "GET /v2/hidden/tags/list", nil, "", "404 NAME_UNKNOWN"},

		{"a blob of another repository", "bob", "GET /v2/bob/app/blobs/SECRET_LAYER", nil, "", "404 BLOB_UNKNOWN"},
		{"its head", "bob", "HEAD /v2/bob/app/blobs/SECRET_LAYER", nil, "", "404"},
		{"a range of it", "bob", "GET /v2/bob/app/blobs/SECRET_LAYER", []string{"Range: bytes=0-3"}, "", "404 BLOB_UNKNOWN"},
		{"what may not have changed of it", "bob", "GET /v2/bob/app/blobs/SECRET_LAYER", []string{`If-None-Match: "SECRET_LAYER"`}, "", "404 BLOB_UNKNOWN"},
		{"a blob by its own repository", "bob", "GET /v2/alice/app/blobs/SECRET_LAYER", nil, "", "403 DENIED"},
		{"a manifest of another repository", "bob", "GET /v2/bob/app/manifests/SECRET", nil, "", "404 MANIFEST_UNKNOWN"},
		{"it as a blob", "bob", "GET /v2/bob/app/blobs/SECRET", nil, "", "404 BLOB_UNKNOWN"},
		{"its referrers", "bob", "GET /v2/bob/app/referrers/SECRET", nil, "", `200 "manifests":[]`},
		{"a blob of it, anonymously", "", "GET /v2/public/app/blobs/SECRET_LAYER", nil, "", "404 BLOB_UNKNOWN"},

		{"a mount from where one may not read", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER&from=alice/app", nil, "", "202"},
		{"and one from nowhere", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER", nil, "", "202"},
		{"and one from oneself", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER&from=bob/app", nil, "", "202"},
		{"and one from a name that is none", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER&from=../alice/app", nil, "", "400 NAME_INVALID"},
		{"and two from", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER&from=bob/app&from=alice/app", nil, "", "202"},
		{"and one of a manifest", "bob", "POST /v2/bob/app/blobs/uploads/?mount=SECRET&from=alice/app", nil, "", "202"},
		{"a mount to where one may not write", "bob", "POST /v2/alice/app/blobs/uploads/?mount=BOBS_LAYER&from=bob/app", nil, "", "403 DENIED"},
		{"an image that names another's layer", "bob", "PUT /v2/bob/app/manifests/v2", nil, bobs("SECRET_LAYER"), "404 MANIFEST_BLOB_UNKNOWN"},
		{"its config is another's", "bob", "PUT /v2/bob/app/manifests/v2", nil, strings.Replace(bobs("BOBS_LAYER"), "BOBS_CONFIG", "SECRET_LAYER", 1), "404 MANIFEST_BLOB_UNKNOWN"},
		{"an image of another type that does", "bob", "PUT /v2/bob/app/manifests/v2", []string{"Content-Type: application/x.other"}, bobs("SECRET_LAYER"), "400 MANIFEST_INVALID"},
		{"an image that is an index as well", "bob", "PUT /v2/bob/app/manifests/v2", index, strings.Replace(bobs("BOBS_LAYER"), imageType, indexType, 1), "400 MANIFEST_INVALID"},

		{"a push by nobody", "", "PUT /v2/public/app/manifests/v2", nil, bobs("PUBLIC_LAYER"), "401 docker login"},
		{"an upload by nobody", "", "POST /v2/public/app/blobs/uploads/", nil, "", "401 docker login"},
		{"a push to another's", "bob", "PUT /v2/alice/app/manifests/v2", nil, bobs("BOBS_LAYER"), "403 DENIED"},
		{"a push to what one may read", "carol", "PUT /v2/carol/app/manifests/v2", nil, bobs("CAROLS_LAYER"), "403 DENIED"},
		{"an upload to what one may read", "carol", "POST /v2/carol/app/blobs/uploads/", nil, "", "403 DENIED"},
		{"a whole blob to another's", "bob", "POST /v2/alice/app/blobs/uploads/?digest=NOTHING", nil, "anything", "403 DENIED"},
		{"a push to a host", "bob", "PUT /v2/bob/app/manifests/v2?ns=ghcr.io", nil, bobs("BOBS_LAYER"), "403 DENIED"},
		{"a push to a path that begins the same", "bob", "POST /v2/bobby/app/blobs/uploads/", nil, "", "403 DENIED"},
		{"a push to a path below a host", "bob", "POST /v2/ghcr.io/bob/app/blobs/uploads/", nil, "", "403 DENIED"},
		{"a tag taken back by who may only push", "dora", "DELETE /v2/dora/app/manifests/v1", nil, "", "403 DENIED"},
		{"a manifest taken back", "dora", "DELETE /v2/dora/app/manifests/DORAS", nil, "", "403 DENIED"},
		{"a blob taken back", "dora", "DELETE /v2/dora/app/blobs/DORAS_LAYER", nil, "", "403 DENIED"},
		{"a manifest of another taken away", "bob", "DELETE /v2/alice/app/manifests/SECRET", nil, "", "403 DENIED"},
		{"and by one's own name", "bob", "DELETE /v2/bob/app/manifests/SECRET", nil, "", "404 MANIFEST_UNKNOWN"},
		{"a blob of another", "bob", "DELETE /v2/bob/app/blobs/SECRET_LAYER", nil, "", "404 BLOB_UNKNOWN"},
		{"a blob that an image needs", "bob", "DELETE /v2/bob/app/blobs/BOBS_LAYER", nil, "", "405 UNSUPPORTED"},

		{"where another's upload stands", "bob", "GET /v2/alice/app/blobs/uploads/" + id, nil, "", "403 DENIED"},
		{"it under one's own name", "bob", "GET /v2/bob/app/blobs/uploads/" + id, nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
		{"more of it", "bob", "PATCH /v2/bob/app/blobs/uploads/" + id, nil, "and more", "404 BLOB_UPLOAD_UNKNOWN"},
		{"its end", "bob", "PUT /v2/bob/app/blobs/uploads/" + id + "?digest=NOTHING", nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
		{"it cancelled", "bob", "DELETE /v2/bob/app/blobs/uploads/" + id, nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
		{"it cancelled by nobody", "", "DELETE /v2/alice/app/blobs/uploads/" + id, nil, "", "401 UNAUTHORIZED"},
		{"its file", "bob", "GET /v2/bob/app/blobs/uploads/..", nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
		{"its file, escaped", "bob", "GET /v2/bob/app/blobs/uploads/%2e%2e%5c" + id, nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
		{"its file, by a slash", "bob", "GET /v2/bob/app/blobs/uploads/..%2fincoming%2f" + id, nil, "", "400 NAME_INVALID"},
		{"its state", "bob", "DELETE /v2/bob/app/blobs/uploads/" + id + ".state", nil, "", "404 BLOB_UPLOAD_UNKNOWN"},
	})

	for as, want := range map[string]string{
		"": `{"repositories":["public/app"]}`, "bob": `{"repositories":["bob/app","public/app"]}`, "carol": `{"repositories":["carol/app","public/app"]}`,
	} {
		if got := v.must(t, 200, as, "GET", "/v2/_catalog?n=100", nil, "").body; got != want {
			t.Errorf("the catalog for %q is %s, want %s", as, got, want)
		}
	}
	if got := v.must(t, 200, "bob", "GET", "/v2/_catalog?n=1&last=a", nil, ""); got.header.Get("Link") != `</v2/_catalog?last=bob%2Fapp&n=1>; rel="next"` {
		t.Errorf("the link of the catalog is %q", got.header.Get("Link"))
	}

	if got := v.must(t, 204, "alice", "GET", upload, nil, "").header.Get("Range"); got != "0-9" {
		t.Errorf("alice's upload stands at %s, want 0-9", got)
	}
	v.must(t, 204, "alice", "DELETE", upload, nil, "")
	v.wantSame(t, before)

	// An index may name what its repository lacks; it does not bring that in.
	v.manifest(t, "TRICK", "bob", "bob/app", "trick", v.expand(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":"SECRET","size":1}]}`, indexType, imageType)))
	v.manifest(t, "TRICKY", "bob", "bob/app", "tricky", v.expand(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"subject":{"mediaType":%q,"digest":"SECRET","size":1}}`, indexType, imageType)))
	v.must(t, 404, "bob", "GET", "/v2/bob/app/manifests/SECRET", nil, "")
	v.must(t, 404, "bob", "GET", "/v2/bob/app/blobs/SECRET_LAYER", nil, "")
	if list := v.must(t, 200, "bob", "GET", "/v2/bob/app/referrers/SECRET", nil, "").body; strings.Contains(list, v.stands["SECRET_REFERRER"]) {
		t.Errorf("bob's list of referrers has alice's in it: %s", list)
	}
	if list := v.must(t, 200, "alice", "GET", "/v2/alice/app/referrers/SECRET", nil, "").body; strings.Contains(list, v.stands["TRICKY"]) {
		t.Errorf("alice's list of referrers has bob's in it: %s", list)
	}
}

// TestTokensSayNoMoreThanWhoHoldsThem: whatever a token is asked for, it is good for what its holder may do.
func TestTokensSayNoMoreThanWhoHoldsThem(t *testing.T) {
	v := startVictim(t)
	before := v.holdings(t)
	const scope = "/auth/token?service=mirror&account=alice&scope=repository:alice/app:pull,push,delete,*&scope=registry:catalog:*"
	bearer := func(as string) []string {
		t.Helper()
		var got struct{ Token string }
		if err := json.Unmarshal([]byte(v.must(t, 200, as, "GET", scope, nil, "").body), &got); err != nil || got.Token == "" {
			t.Fatalf("no token: %v", err)
		}
		return []string{"Authorization: Bearer " + got.Token}
	}
	bobs, alices := bearer("bob"), bearer("alice")
	changed := func(at int) []string {
		token := []byte(alices[0])
		token[at] ^= 1
		return []string{string(token)}
	}
	head, claims, _ := strings.Cut(strings.TrimPrefix(bobs[0], "Authorization: Bearer "), ".")
	claims, signature, _ := strings.Cut(claims, ".")
	_, alicesClaims, _ := strings.Cut(alices[0], ".")
	alicesClaims, _, _ = strings.Cut(alicesClaims, ".")
	v.refuses(t, []attempt{
		{"bob's, for alice's", "", "GET /v2/alice/app/manifests/v1", bobs, "", "403 DENIED"},
		{"bob's, for a push to alice's", "", "POST /v2/alice/app/blobs/uploads/", bobs, "", "403 DENIED"},
		{"bob's, for a mount of alice's", "", "POST /v2/alice/app/blobs/uploads/?mount=SECRET_LAYER&from=alice/app", bobs, "", "403 DENIED"},
		{"alice's, changed at its end", "", "GET /v2/alice/app/manifests/v1", changed(len(alices[0]) - 8), "", "401 UNAUTHORIZED"},
		{"alice's, changed in the middle", "", "GET /v2/alice/app/manifests/v1", changed(len(alices[0]) / 2), "", "401 UNAUTHORIZED"},
		{"bob's signature of alice's", "", "GET /v2/alice/app/manifests/v1", []string{"Authorization: Bearer " + head + "." + alicesClaims + "." + signature}, "", "401 UNAUTHORIZED"},
		{"no signature", "", "GET /v2/alice/app/manifests/v1", []string{"Authorization: Bearer " + head + "." + alicesClaims + "."}, "", "401 UNAUTHORIZED"},
		{"as a password", "", "GET /v2/alice/app/manifests/v1", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+head+"."+claims+"."+signature))}, "", "401 UNAUTHORIZED"},
		{"in the query", "", "GET /v2/alice/app/manifests/v1?token=" + strings.TrimPrefix(alices[0], "Authorization: Bearer "), nil, "", "401 UNAUTHORIZED"},
		{"another's password", "", "GET " + scope, []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:guess"))}, "", "401 wrong"},
		{"by a form", "", "POST /auth/token", nil, "grant_type=password&username=alice&password=ecila", "405 UNSUPPORTED"},
		{"a page below", "", "GET /auth/token/../../v2/alice/app/manifests/v1", nil, "", "404 NAME_UNKNOWN"},
	})
	// Who asks for a token with nothing, or with a token, gets one that is nobody's.
	for name, with := range map[string][]string{"nothing": nil, "a token": alices} {
		answers := v.converse(t, v.text(attempt{request: "GET " + scope, headers: with}))
		var got struct{ Token string }
		if len(answers) != 1 || json.Unmarshal([]byte(answers[0].body), &got) != nil || got.Token == "" {
			t.Fatalf("a token for %s: %v", name, answers)
		}
		v.refuses(t, []attempt{{"one that was given for " + name, "", "GET /v2/alice/app/manifests/v1", []string{"Authorization: Bearer " + got.Token}, "", "401 UNAUTHORIZED"}})
	}
	if got := v.converse(t, v.text(attempt{request: "HEAD /v2/alice/app/manifests/v1", headers: alices})); len(got) != 1 || got[0].status != 200 {
		t.Errorf("alice's token is good for %v", got)
	}
	writeFile(t, filepath.Dir(v.users), "users", "")
	users(t, filepath.Dir(v.users), "admin", "bob")
	v.ask(t, "reload")
	v.refuses(t, []attempt{{"alice's, who was removed", "", "GET /v2/alice/app/manifests/v1", alices, "", "401 UNAUTHORIZED"}})
	v.wantSame(t, before)
}
