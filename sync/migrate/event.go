package migrate

import "airmirror/sync/progress"

// tell completes an event and passes it on.
func (r *run) emit(event Event) {
	r.Tell(func(now progress.Now) {
		event.Time = now.Time
		switch event.Kind {
		case KindProgress:
			event.Doing = now.Doing
			fallthrough
		case KindDone:
			event.Done, event.Total = now.Done, now.Total
		}
		r.report(event)
	})
}
