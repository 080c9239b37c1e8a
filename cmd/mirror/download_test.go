package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

func TestConcurrentPullsShareOneDownload(t *testing.T) {
	const herd = 64
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 8<<20)
	path := blobPath("library/app", d)
	s := newSubject(t, up.URL, incomplete)
	s.get(200, "/v2/library/app/manifests/v1")
	var wg sync.WaitGroup
	for i := range herd {
		wg.Go(func() {
			from := i * 1000 // each from wherever it is
			resp, err := http.DefaultClient.Do(request(t, s.URL+path, "Range", fmt.Sprintf("bytes=%d-", from)))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 206 || !bytes.Equal(got, content[from:]) {
				t.Errorf("client %d: %s, %d bytes, %v", i, resp.Status, len(got), err)
			}
		})
	}
	wg.Wait()
	if n := up.count("GET " + path); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

// TestBlobIsStreamedWhileItArrives pauses the upstream in the middle of a blob until a client has read the first half.
func TestBlobIsStreamedWhileItArrives(t *testing.T) {
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 1<<20)
	path := blobPath("library/app", d)
	s := newSubject(t, up.URL, incomplete)
	s.get(200, "/v2/library/app/manifests/v1")
	goOn := make(chan struct{})
	up.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && r.URL.Path == path {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:len(content)/2])
			w.(http.Flusher).Flush()
			<-goOn
			w.Write(content[len(content)/2:])
			panic(http.ErrAbortHandler) // all is written
		}
	})
	resp, err := http.DefaultClient.Do(request(t, s.URL+path))
	must(t, err)
	defer resp.Body.Close()
	half := make([]byte, len(content)/2)
	_, err = io.ReadFull(resp.Body, half)
	must(t, err)
	close(goOn)
	rest, err := io.ReadAll(resp.Body)
	must(t, err)
	if !bytes.Equal(append(half, rest...), content) {
		t.Error("the blob came changed")
	}
}

func TestDownloadContinuesWithoutItsClient(t *testing.T) {
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 1<<20)
	path := blobPath("library/app", d)
	s := newSubject(t, up.URL, incomplete)
	s.get(200, "/v2/library/app/manifests/v1")
	begun, goOn := make(chan struct{}), make(chan struct{})
	up.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && r.URL.Path == path {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:1000])
			w.(http.Flusher).Flush()
			close(begun)
			<-goOn
			w.Write(content[1000:])
			panic(http.ErrAbortHandler)
		}
	})
	resp, err := http.DefaultClient.Do(request(t, s.URL+path))
	must(t, err)
	<-begun
	resp.Body.Close()
	close(goOn)
	s.stop() // waits for transfers
	s.start(up.URL, offline)
	if got, _ := s.get(200, path); !bytes.Equal(got, content) {
		t.Error("the blob came changed")
	}
	if n := up.count("GET " + path); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

func TestWrongBytesBreakTheConnection(t *testing.T) {
	up := newOrigin(t)
	content, d := up.blob("library/app:v1", 1<<20)
	path := blobPath("library/app", d)
	wrong := bytes.Clone(content)
	wrong[len(wrong)-1] ^= 1
	for name, send := range map[string]func(w http.ResponseWriter){
		"corrupt": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(wrong)))
			w.Write(wrong)
		},
		"corrupt, of unannounced length": func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			w.Write(wrong)
		},
		"truncated": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:len(content)/2])
		},
		"truncated, of unannounced length": func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			w.Write(content[:len(content)/2])
		},
		"of another length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)+1))
			w.Write(append(bytes.Clone(content), 0))
		},
		"endless": func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		},
		"a captive portal": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Please sign in</html>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubject(t, up.URL, incomplete)
			s.get(200, "/v2/library/app/manifests/v1")
			up.misbehave(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "GET" && r.URL.Path == path {
					send(w)
					panic(http.ErrAbortHandler)
				}
			})
			resp, err := http.DefaultClient.Do(request(t, s.URL+path))
			must(t, err)
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == 200 && err == nil {
				t.Errorf("the client saw a clean end after %d bytes", len(got))
			}
			if resp.StatusCode != 200 && resp.StatusCode != 404 {
				t.Errorf("status %s", resp.Status)
			}
			up.misbehave(nil)
			if got, _ := s.get(200, path); !bytes.Equal(got, content) {
				t.Error("the wrong bytes were kept")
			}
		})
	}
}
