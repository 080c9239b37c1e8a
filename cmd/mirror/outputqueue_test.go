package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestOutputQueue writes more than a pipe holds before anybody reads.
func TestOutputQueue(t *testing.T) {
	read, write := io.Pipe()
	q := newOutputQueue(write)
	var want strings.Builder
	for i := range 100_000 {
		_, err := fmt.Fprintln(io.MultiWriter(q, &want), i)
		must(t, err)
	}
	go func() { write.CloseWithError(q.flush()) }()
	got, err := io.ReadAll(read)
	must(t, err)
	if string(got) != want.String() {
		t.Errorf("%d bytes arrived of %d, or in another order", len(got), want.Len())
	}
}

// TestOutputQueueFails checks that the error of the output ends a command that goes on writing.
func TestOutputQueueFails(t *testing.T) {
	read, write := io.Pipe()
	closed := errors.New("nobody reads any more")
	read.CloseWithError(closed)
	q := newOutputQueue(write)
	_, err := q.Write([]byte("first"))
	must(t, err)
	if err := q.flush(); !errors.Is(err, closed) {
		t.Errorf("flush: %v", err)
	}
	if _, err := q.Write([]byte("second")); !errors.Is(err, closed) {
		t.Errorf("the next write: %v", err)
	}
}
