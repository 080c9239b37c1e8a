package ui_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// exported returns a bundle with the image library/alpine:3, as a browser downloads it.
func exported(t *testing.T) []byte {
	t.Helper()
	from := open(t)
	from.push("library/alpine", "3", true)
	form := url.Values{"images": {"alpine:3"}, "to": {"plant-7"}, "disk": {"4"}}
	plan := from.post("transfer?action=plan", form)
	for _, want := range []string{"docker.io/library/alpine:3", "1 of 4 GB", "plant-7"} {
		if !strings.Contains(plan.body, want) {
			t.Errorf("the plan lacks %q", want)
		}
	}
	bundle := from.post("transfer?action=download", form)
	if name := bundle.Header.Get("Content-Disposition"); bundle.StatusCode != http.StatusOK || !strings.HasPrefix(name, `attachment; filename=plant-7-`) {
		t.Fatalf("the download has the status %d and is %q", bundle.StatusCode, name)
	}
	return []byte(bundle.body)
}

// upload sends files as a form does, and returns the page that shows the result.
func (c *console) upload(values map[string]string, files map[string][]byte) answer {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	address := "/console/transfer?action=import"
	for name, value := range values {
		if name == "preview" { // the button has an address of its own
			address += "&preview=" + value
			continue
		}
		c.must(form.WriteField(name, value))
	}
	for _, name := range []string{"b.tar", "b.tar.001", "b.tar.002"} {
		if content, ok := files[name]; ok {
			file, err := form.CreateFormFile("file", name)
			c.must(err)
			_, err = file.Write(content)
			c.must(err)
		}
	}
	c.must(form.Close())
	r := httptest.NewRequest(http.MethodPost, address, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	sent := c.do(r)
	to := sent.Header.Get("Location")
	if to == "" {
		return sent
	}
	_, id, _ := strings.Cut(to, "job=")
	_ = c.client().WatchJob(c.t.Context(), id, 0, func(admin.Event) error { return nil }) // to its end
	return c.get(to)
}

// stores reports whether library/alpine:3 is stored.
func (c *console) stores() bool {
	_, err := c.store.Tag(c.t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: "library/alpine"}, "3")
	return err == nil
}

func TestFormImportsBundle(t *testing.T) {
	bundle := exported(t)
	damaged := bytes.Clone(bundle)
	copy(damaged[len(damaged)/2:], "damage")
	half := len(bundle) / 2
	for name, tt := range map[string]struct {
		values map[string]string
		files  map[string][]byte
		want   []string
		stored bool
	}{
		"preview": {map[string]string{"preview": "1", "destination": "1"}, map[string][]byte{"b.tar": bundle},
			[]string{"This is a preview", "not signed", "docker.io/library/alpine:3", "plant-7"}, false},
		"import":  {map[string]string{"destination": "1"}, map[string][]byte{"b.tar": bundle}, []string{"The import has ended", "docker.io/library/alpine:3"}, true},
		"volumes": {map[string]string{"destination": "1"}, map[string][]byte{"b.tar.001": bundle[:half], "b.tar.002": bundle[half:]}, []string{"The import has ended"}, true},
		"damaged": {map[string]string{"destination": "1"}, map[string][]byte{"b.tar": damaged}, []string{"No tag was moved", `role="alert"`}, false},
		"no file": {nil, nil, []string{"no file was chosen"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			page := c.upload(tt.values, tt.files)
			for _, want := range tt.want {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page lacks %q: %s", want, page.body)
				}
			}
			if got := c.stores(); got != tt.stored {
				t.Errorf("the image is stored: %v", got)
			}
		})
	}
}

// TestExportByReceipt exports without what the receipt of the destination lists. Another file changes nothing.
func TestExportByReceipt(t *testing.T) {
	inside, from := open(t), open(t)
	for _, c := range []*console{inside, from} {
		c.push("library/alpine", "3", true)
	}
	from.push("library/busybox", "1", true)
	var receipt bytes.Buffer
	_, err := inside.client().Stream(t.Context(), "receipt", nil, nil, &receipt)
	inside.must(err)
	send := func(action string, receipt []byte) answer {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		from.must(form.WriteField("images", "alpine:3 busybox:1"))
		file, err := form.CreateFormFile("receipt", "receipt.json")
		from.must(err)
		_, err = file.Write(receipt)
		from.must(err)
		from.must(form.Close())
		r := httptest.NewRequest(http.MethodPost, "/console/transfer?action="+action, &body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		return from.do(r)
	}
	layers := func(bundle string) (found []bool) {
		for _, path := range []string{"library/alpine:3", "library/busybox:1"} {
			found = append(found, strings.Contains(bundle, "layer of "+path))
		}
		return found
	}
	send("plan", receipt.Bytes()).shows(t, http.StatusOK, `type="file" name="receipt" required`, "docker.io/library/busybox:1")
	if a := send("download", receipt.Bytes()); a.StatusCode != http.StatusOK || !slices.Equal(layers(a.body), []bool{false, true}) {
		t.Errorf("the bundle has the layers %v, status %d", layers(a.body), a.StatusCode)
	}
	for _, action := range []string{"plan", "download"} {
		send(action, []byte("no receipt")).shows(t, http.StatusMethodNotAllowed, "receipt")
	}
	empty := url.Values{"images": {"alpine:3 busybox:1"}}
	if a := from.post("transfer?action=download", empty); !slices.Equal(layers(a.body), []bool{true, true}) {
		t.Errorf("without a receipt, the bundle has the layers %v", layers(a.body))
	}
}

// TestScriptSendsPieces sends a bundle as the script does, and repeats a piece as after a broken connection.
func TestScriptSendsPieces(t *testing.T) {
	bundle := exported(t)
	c := open(t)
	ask := func(query string, body []byte, kind string) (job admin.JobStatus, status int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/console/transfer"+query, bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		a := c.do(r)
		if a.StatusCode == http.StatusOK {
			c.must(json.Unmarshal([]byte(a.body), &job))
		}
		return job, a.StatusCode
	}
	form := url.Values{"action": {"start"}, "name": {"b.tar"}, "size": {strconv.Itoa(len(bundle))}, "destination": {"1"}}
	job, _ := ask("", []byte(form.Encode()), "application/x-www-form-urlencoded")
	at := func(offset int, last string) string {
		return "?action=send&job=" + job.ID + "&last=" + last + "&offset=" + strconv.Itoa(offset)
	}
	half := len(bundle) / 2
	sent, _ := ask(at(0, "0"), bundle[:half], "application/octet-stream")
	if sent.Input == nil || sent.Input.Offset != int64(half) {
		t.Fatalf("after a piece: %+v", sent)
	}
	if _, status := ask(at(0, "0"), bundle[:half], "application/octet-stream"); status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("the same piece again: %d", status)
	}
	if now, _ := ask("?action=send&job="+job.ID, nil, ""); now.Input.Offset != int64(half) {
		t.Errorf("it continues at %+v", now.Input)
	}
	ask(at(half, "1"), bundle[half:], "application/octet-stream")
	c.must(c.client().WatchJob(t.Context(), job.ID, 0, func(admin.Event) error { return nil }))
	if !c.stores() {
		t.Error("the image is not stored")
	}
}

func TestExportThatFails(t *testing.T) {
	c := open(t)
	page := c.post("transfer?action=download", url.Values{"images": {"absent:1"}})
	if page.StatusCode != http.StatusNotFound || !strings.Contains(page.body, "absent:1") || page.Header.Get("Content-Disposition") != "" {
		t.Errorf("%d %s", page.StatusCode, page.body)
	}
}
