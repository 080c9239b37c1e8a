package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"airmirror/mirror"
)

// show shows long work to people: results as they come, and how far it is.
type progressView interface {
	// line prints a result.
	line(text string)
	// progress says how far the work is, in things and in bytes. things is as "3 of 7 images"; empty is nothing.
	progress(things string, done, total int64, doing string)
	// end takes away what is not a result.
	end()
}

// newProgressView returns what suits a terminal or a file: results go to out, progress to progress.
func newProgressView(out, progress io.Writer) progressView {
	if file, ok := terminalOf(progress); ok {
		return newBarView(out, file)
	}
	return newPlainView(out, progress)
}

// rate is how fast work was since it began to move.
type rate struct{ began time.Time }

// of returns bytes in a second, and how long the rest takes; 0 if that is not known yet.
func (r *rate) of(done, total int64) (speed int64, left time.Duration) {
	if r.began.IsZero() {
		r.began = time.Now()
	}
	seconds := time.Since(r.began).Seconds()
	if seconds < 1 || done <= 0 {
		return 0, 0
	}
	perSecond := float64(done) / seconds
	return int64(perSecond), time.Duration(float64(max(0, total-done)) / perSecond * float64(time.Second)).Round(time.Second)
}

// amounts writes how far work is in bytes.
func (r *rate) amounts(done, total int64) string {
	text := fmt.Sprintf("%s of %s", size(done), size(total))
	speed, left := r.of(done, total)
	if speed > 0 {
		text += fmt.Sprintf(", %s/s", size(speed))
	}
	if left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// plainInterval is how often progress is printed where nobody looks at it all the time.
const plainInterval = 5 * time.Second

// plainView prints lines: results as they come, and progress now and then even if there is none.
type plainView struct {
	out, to io.Writer
	stop    chan struct{}
	stopped chan struct{}

	mu     sync.Mutex
	rate   rate
	latest string
}

func newPlainView(out, to io.Writer) *plainView {
	s := &plainView{out: out, to: to, stop: make(chan struct{}), stopped: make(chan struct{}), latest: "beginning"}
	go s.run()
	return s
}

func (s *plainView) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(plainInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.mu.Lock()
			fmt.Fprintln(s.to, s.latest)
			s.mu.Unlock()
		case <-s.stop:
			return
		}
	}
}

func (s *plainView) line(text string) { fmt.Fprintln(s.out, mirror.Printable(text)) }

func (s *plainView) progress(things string, done, total int64, doing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if things != "" {
		things += ", "
	}
	s.latest = things + s.rate.amounts(done, total)
	if doing != "" {
		s.latest += ": " + mirror.Printable(doing)
	}
}

func (s *plainView) end() {
	close(s.stop)
	<-s.stopped
}

// barView shows a bar at the foot of a terminal, below the results.
type barView struct {
	out  io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar

	mu            sync.Mutex // guards what the bar's goroutine reads
	rate          rate
	things, doing string
}

func newBarView(out io.Writer, terminal *os.File) *barView {
	s := &barView{out: out, bars: mpb.New(mpb.WithOutput(terminal))}
	s.bar = s.bars.New(0, mpb.BarStyle(), mpb.BarWidth(30), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(s.before)), mpb.AppendDecorators(decor.Any(s.after)))
	if _, ok := terminalOf(out); ok {
		s.out = s.bars // above the bar, which is drawn again below
	}
	return s
}

// before is what stands before the bar.
func (s *barView) before(decor.Statistics) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.things == "" {
		return ""
	}
	return s.things + " "
}

// after is what stands after it; it is cut off where the terminal ends.
func (s *barView) after(bar decor.Statistics) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf(" %s  %s", s.rate.amounts(bar.Current, bar.Total), s.doing)
}

func (s *barView) line(text string) { fmt.Fprintln(s.out, mirror.Printable(text)) }

func (s *barView) progress(things string, done, total int64, doing string) {
	s.mu.Lock()
	s.things, s.doing = mirror.Printable(things), mirror.Printable(doing)
	s.mu.Unlock()
	s.bar.SetTotal(total, false)
	s.bar.SetCurrent(done)
}

func (s *barView) end() {
	s.bar.Abort(true)
	s.bars.Wait()
}
