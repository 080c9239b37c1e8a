package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNobodyReadsTheOutput lists images as `mirror ls | less` does: the pager reads one screen and waits. The server is not
// held up by that: its answer, which is larger than all buffers in between, is sent while the pager waits. When the pager goes on,
// nothing is missing.
func TestNobodyReadsTheOutput(t *testing.T) {
	const images = 60_000
	note := strings.Repeat("x", 200) // makes a line about as long as that of a real image
	sent := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriter(w)
		for i := range images {
			fmt.Fprintf(out, `{"name":"app","reference":"docker.io/library/app:%d","tag":"%d","error":%q}`+"\n", i, i, note)
		}
		sent <- out.Flush()
	}))
	defer server.Close()
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	var stderr bytes.Buffer
	ls := exec.Command("mirror", "ls", "--json", "--server", server.URL)
	ls.Stdout, ls.Stderr = write, &stderr
	must(t, ls.Start())
	write.Close()
	defer func() { _ = ls.Process.Kill() }()

	screen := make([]byte, 4<<10)
	_, err = io.ReadFull(read, screen)
	must(t, err)
	must(t, <-sent)
	rest, err := io.ReadAll(read)
	must(t, err)
	_ = ls.Wait() // the images cannot be read, as their errors say
	if code := ls.ProcessState.ExitCode(); code != exitDefects {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(screen)+string(rest)), "\n")
	if len(lines) != images+2 {
		t.Fatalf("%d lines, want %d", len(lines), images+2)
	}
	for i, line := range lines[1 : images+1] {
		if !strings.Contains(line, fmt.Sprintf(`"docker.io/library/app:%d"`, i)) {
			t.Fatalf("line %d is %s", i+1, line)
		}
	}
}
