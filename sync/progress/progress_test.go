package progress_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

var _ mirror.Progress = (*progress.Reporter)(nil)

func TestProgressIsReportedAfterItChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []int64
		r := progress.New(func(now progress.Snapshot) {
			reports = append(reports, now.Done)
			if now.Total != 10 || now.Current != "it" || now.TotalItems != 3 {
				t.Errorf("%+v", now)
			}
		})
		r.AddTotal(10)
		r.AddTotalItems(3)
		r.SetCurrent("it")
		r.AddDone(1)
		r.AddDone(2)
		time.Sleep(3 * progress.Interval / 2)
		time.Sleep(5 * progress.Interval)
		r.AddDone(0)
		r.SetCurrent("it")
		time.Sleep(progress.Interval)
		r.AddDone(4)
		time.Sleep(progress.Interval)
		r.AddDone(1)
		r.Close()
		r.AddDone(2)
		r.AddItem()
		time.Sleep(progress.Interval)
		if want := (progress.Snapshot{Done: 10, Total: 10, Items: 1, TotalItems: 3, Current: "it"}); r.Snapshot() != want {
			t.Errorf("%+v, want %+v", r.Snapshot(), want)
		}
		if !slices.Equal(reports, []int64{3, 7, 8}) {
			t.Errorf("reports %d", reports)
		}
	})
}
