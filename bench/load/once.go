package load

import "time"

// Once sends one request and gives its answer to read, without a check.
func Once(t Target, i int, read func(Answer) error) (err error) {
	t.Check = func(_ int, a Answer, _ time.Time) error { return read(a) }
	r, err := t.route()
	if err != nil {
		return err
	}
	l, err := r.newEventLoop(1)
	if err != nil {
		return err
	}
	defer l.close()
	defer claimProcessors(1)()
	over, _, failure := l.connections[0].begin(i, time.Now())
	for !over && err == nil {
		err = l.await(longestNap, func(_ *connection, _ time.Time, wrong error) { over, failure = true, wrong })
	}
	if err == nil {
		err = failure
	}
	return err
}
