package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"airmirror/sync/images"
)

// barView shows a bar at the foot of a terminal, below the results.
type barView struct {
	results
	bars *mpb.Progress
	bar  *mpb.Bar

	mu            sync.Mutex // guards what the bar's goroutine reads
	doing         string
	planned, done int64 // images
}

func newBarView(r results, terminal *os.File) *barView {
	v := &barView{results: r, bars: mpb.New(mpb.WithOutput(terminal))}
	v.bar = v.bars.New(0, mpb.BarStyle(), mpb.BarWidth(30), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(v.before)), mpb.AppendDecorators(decor.Any(v.after)))
	if file, ok := r.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		v.out = v.bars // above the bar, which is drawn again below
	}
	return v
}

// before is what stands before the bar.
func (v *barView) before(decor.Statistics) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("%d of %d images ", v.done, v.planned)
}

// after is what stands after it; it is cut off where the terminal ends.
func (v *barView) after(bar decor.Statistics) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	speed := float64(bar.Current) / max(1, time.Since(v.began).Seconds())
	return fmt.Sprintf(" %s of %s, %s/s  %s", size(bar.Current), size(bar.Total), size(int64(speed)), v.doing)
}

func (v *barView) event(e images.Event, _ []byte) error {
	v.mu.Lock()
	switch e.Kind {
	case images.KindPlan:
		v.planned = e.Total
	case images.KindProgress:
		v.doing = e.Doing
	case images.KindImage:
		v.done++
	}
	v.mu.Unlock()
	if e.Kind == images.KindImage {
		v.image(e)
	}
	if e.Kind != images.KindPlan {
		v.bar.SetTotal(e.Total, false)
		v.bar.SetCurrent(e.Done)
	}
	return nil
}

func (v *barView) end(s *images.Summary) error {
	v.summary(s)
	v.bar.Abort(true)
	v.bars.Wait()
	return nil
}
