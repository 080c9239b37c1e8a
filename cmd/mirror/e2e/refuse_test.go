//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// attempt is a request that must be refused. It is sent as it stands here, over a socket: an HTTP client would clean it up.
type attempt struct {
	name    string
	as      string // who sends it; nobody if it is empty
	request string // method and target; of HTTP/1.1 if it does not say which version
	headers []string
	body    string
	want    string // the status, and behind it what the answer has to say
}

// exchanges is a connection's whole conversation instead: what is sent, byte for byte, and the status of each answer.
type exchanges struct {
	name string
	sent string // \n stands for \r\n; what has none of its own is closed with a question of ours
	want string // the statuses, a space in between
}

// victim is a mirror with users and content that requests are tried on. Names in capitals stand for digests in them.
type victim struct {
	*server
	users  string // the file of those who may log in, if there is one
	stands map[string]string
}

// users writes a file of users whose passwords are their names backwards, and returns its path.
func users(t *testing.T, dir string, names ...string) string {
	t.Helper()
	var lines strings.Builder
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwordOf(name)), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	return writeFile(t, dir, "users", lines.String())
}

func passwordOf(name string) string {
	letters := []byte(name)
	slices.Reverse(letters)
	return string(letters)
}

func basicAuth(name string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+passwordOf(name)))
}

// expand puts digests in the place of their names. Longer names come first.
func (v *victim) expand(s string) string {
	names := slices.SortedFunc(maps.Keys(v.stands), func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		s = strings.ReplaceAll(s, name, v.stands[name])
	}
	return s
}

// text is the request as it goes over the wire.
func (v *victim) text(a attempt) string {
	var b strings.Builder
	b.WriteString(a.request)
	if !strings.Contains(a.request, " HTTP/") {
		b.WriteString(" HTTP/1.1")
	}
	b.WriteString("\r\n")
	given := strings.ToLower("\n" + strings.Join(a.headers, "\n"))
	add := func(name, value string) {
		if !strings.Contains(given, "\n"+strings.ToLower(name)) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	add("Host", v.addr)
	add("Connection", "close")
	if a.as != "" {
		add("Authorization", basicAuth(a.as))
	}
	if !strings.Contains(given, "\ntransfer-encoding") && (a.body != "" || !strings.HasPrefix(a.request, "GET ") && !strings.HasPrefix(a.request, "HEAD ")) {
		add("Content-Length", fmt.Sprint(len(v.expand(a.body))))
	}
	for _, header := range a.headers {
		b.WriteString(header + "\r\n")
	}
	return v.expand(b.String() + "\r\n" + a.body)
}

// cutOff, at the end of a body, has the client send no more, whatever it has announced.
const cutOff = "\x04"

// answer is a status and what came with it.
type answer struct {
	status int
	header http.Header
	body   string
}

// converse sends text and returns the answers, up to the end of the connection. Where the server would keep that open, it is
// asked one more thing, which it closes it after.
func (v *victim) converse(t *testing.T, text string) (answers []answer) {
	t.Helper()
	connection, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	go func() { // the server may answer and leave before it has read all
		text, ends := strings.CutSuffix(text, cutOff)
		if _, err := io.WriteString(connection, text); err == nil && ends {
			_ = connection.(*net.TCPConn).CloseWrite()
		}
	}()
	method, _, _ := strings.Cut(text, " ")
	in := bufio.NewReader(connection)
	asked := false
	for {
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || len(answers) > 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return answers
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", len(answers), err)
		}
		body, _ := io.ReadAll(response.Body)
		answers = append(answers, answer{response.StatusCode, response.Header, string(body)})
		if method = http.MethodGet; !response.Close && !asked {
			asked = true
			fmt.Fprintf(connection, "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", v.addr)
		}
	}
}

// refuses sends each attempt, and checks that it is refused as it should be. A request that is answered with an upload that
// was begun has it cancelled: it is not what was asked for.
func (v *victim) refuses(t *testing.T, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			answers := v.converse(t, v.text(a))
			if len(answers) == 0 {
				if a.want != "closed" {
					t.Errorf("%s: no answer, want %s", a.request, a.want)
				}
				return
			}
			status, says, _ := strings.Cut(a.want, " ")
			got := answers[0]
			if len(answers) != 1 || fmt.Sprint(got.status) != status || !strings.Contains(got.body, v.expand(says)) {
				t.Errorf("%.200s: %d %.300s %v, in %d answers; want %s", a.request, got.status, got.body, got.header, len(answers), a.want)
			}
			if strings.Contains(got.body, secretText) {
				t.Errorf("%.200s: the answer gives away %q", a.request, got.body)
			}
			if location := got.header.Get("Location"); got.status == http.StatusAccepted && location != "" {
				v.must(t, http.StatusNoContent, a.as, http.MethodDelete, location, nil, "")
			}
		})
	}
}

// speaks sends whole conversations, and checks how many answers there are, and which.
func (v *victim) speaks(t *testing.T, all []exchanges) {
	t.Helper()
	for _, e := range all {
		t.Run(e.name, func(t *testing.T) {
			text := strings.ReplaceAll(strings.ReplaceAll(v.expand(e.sent), "\n", "\r\n"), "HOST", v.addr)
			var got []string
			for _, a := range v.converse(t, text) {
				got = append(got, fmt.Sprint(a.status))
			}
			if strings.Join(got, " ") != e.want {
				t.Errorf("%q is answered %v, want %s", text, got, e.want)
			}
		})
	}
}

// must does what is allowed, and returns the answer.
func (v *victim) must(t *testing.T, status int, as, method, target string, body []byte, contentType string) answer {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+v.addr+v.expand(target), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if as != "" {
		request.Header.Set("Authorization", basicAuth(as))
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		t.Fatalf("%s %s: %s %v\n%s", method, target, response.Status, err, text)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// blob pushes one, which is called so from now on.
func (v *victim) blob(t *testing.T, called, as, repo, content string) string {
	t.Helper()
	v.stands[called] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
	v.must(t, http.StatusCreated, as, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+v.stands[called], []byte(content), "application/octet-stream")
	return v.stands[called]
}

// image pushes a manifest under a tag, or under none, which is called so from now on; its config is a blob, and so is its layer.
func (v *victim) image(t *testing.T, called, as, repo, tag, secret string) {
	t.Helper()
	config := v.blob(t, called+"_CONFIG", as, repo, "{}")
	layer := v.blob(t, called+"_LAYER", as, repo, secret)
	v.manifest(t, called, as, repo, tag, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, imageType, config, layer, len(secret)))
}

// secretText is in everything that is nobody's business.
const secretText = "a secret of"

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

func (v *victim) manifest(t *testing.T, called, as, repo, tag, text string) {
	t.Helper()
	v.stands[called] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	if tag == "" {
		tag = v.stands[called]
	}
	v.must(t, http.StatusCreated, as, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, []byte(text), "")
}

// holdings are what a mirror holds, as it says itself and as its folder shows.
type holdings struct {
	Images []map[string]any
	Files  map[string]int64
	Users  string
}

// holdings looks at a mirror. When and how often something was used is not a change, and refused requests may be in the log of
// changes. The file of states keeps the room of uploads that have ended.
func (s *server) holdings(t *testing.T) (h holdings) {
	t.Helper()
	s.askJSON(t, &h.Images, "ls")
	for _, image := range h.Images {
		delete(image, "lastUsed")
		delete(image, "pulls")
	}
	h.Files = map[string]int64{}
	err := filepath.WalkDir(s.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || slices.Contains([]string{"index.db", "changes.log", "states"}, entry.Name()) {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			h.Files[path] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// wantSame checks that a mirror holds what it held, serves it, and finds nothing wrong with it.
func (s *server) wantSame(t *testing.T, before holdings) {
	t.Helper()
	text := func(v any) string {
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	after := s.holdings(t)
	if was, is := text(before), text(after); was != is {
		t.Errorf("the mirror holds something else now:\n%s\nbefore:\n%s", is, was)
	}
	if s.ended() {
		t.Fatal("the mirror has ended")
	}
	s.ask(t, "verify")
	for _, sign := range []string{"panic", "request failed", "DATA RACE"} {
		if log := s.output(t); strings.Contains(log, sign) {
			t.Errorf("the mirror's log has %q in it:\n%s", sign, tail(log, 4<<10))
		}
	}
}
