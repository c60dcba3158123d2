package gateway

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

// toldConn counts how often its deadlines are set.
type toldConn struct {
	net.Conn
	reads, writes int
}

func (c *toldConn) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *toldConn) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

// pipedConn is a connection under test and the client's end of it.
func pipedConn(exact bool) (*conn, *toldConn, net.Conn) {
	server, client := net.Pipe()
	told := &toldConn{Conn: server}
	wait := deadline{exact: exact}
	return &conn{Conn: told, timeouts: Timeouts{}.withDefaults(), reading: wait, writing: wait}, told, client
}

// answeredNow does what the server does around one answer.
func answeredNow(c *conn, s *DataServer) {
	c.current = newHTTPCall(s)
	c.current.ended = time.Now()
	c.writing.wanted = c.current.ended.Add(c.timeouts.Write)
	connState(c, fasthttp.StateIdle)
}

func TestWaitsEndWhenTheyShould(t *testing.T) {
	for name, exact := range map[string]bool{"a socket": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, client := pipedConn(exact)
				defer client.Close()
				defer c.Close()
				f := func(what string, want time.Duration) {
					t.Helper()
					begun := time.Now()
					n, err := c.Read(make([]byte, 1))
					if took := time.Since(begun); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took != want {
						t.Errorf("%s: %d bytes, %v after %v, want to time out after %v", what, n, err, took, want)
					}
				}
				f("the first request", 5*time.Second)
				answeredNow(c, &DataServer{})
				f("no further request", time.Minute)
				connState(c, fasthttp.StateActive)
				f("the rest of a request", 5*time.Second)
				connState(c, fasthttp.StateActive)
				go client.Write(make([]byte, 3*slowestBody))
				if n, err := c.Read(make([]byte, 2*slowestBody)); n != 2*slowestBody || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				time.Sleep(6 * time.Second)
				if n, err := c.Read(make([]byte, slowestBody)); n != slowestBody || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				f("a large body that stops coming", 2*time.Second)
				connState(c, fasthttp.StateActive)
				go func() {
					for c := client; ; time.Sleep(time.Second) {
						if _, err := c.Write([]byte(" ")); err != nil {
							return
						}
					}
				}()
				begun := time.Now()
				var err error
				for err == nil {
					_, err = c.Read(make([]byte, 1))
				}
				if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took > 6*time.Second {
					t.Errorf("a body of a byte a second: %v after %v", err, took)
				}

				answeredNow(c, &DataServer{})
				begun = time.Now()
				n, err := c.Write(make([]byte, 10))
				if took := time.Since(begun); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took != 30*time.Second {
					t.Errorf("an answer that nobody reads: %d bytes, %v after %v", n, err, took)
				}
			})
		})
	}
}

func TestADeadlineThatMovedAwayCutsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, told, client := pipedConn(false)
		defer client.Close()
		defer c.Close()
		buf := make([]byte, 4)
		// Requests every four seconds, for longer than any deadline that was
		// told first.
		for range 100 {
			go client.Write([]byte("ask"))
			if n, err := c.Read(buf); n != 3 || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			connState(c, fasthttp.StateActive)
			go client.Read(make([]byte, 4))
			if n, err := c.Write([]byte("said")); n != 4 || err != nil {
				t.Fatalf("%d bytes written, %v", n, err)
			}
			answeredNow(c, &DataServer{})
			time.Sleep(4 * time.Second)
		}
		if told.reads > 12 || told.writes > 20 {
			t.Errorf("400 s of requests told the poller %d deadlines to read and %d to write", told.reads, told.writes)
		}

		// Of an answer that is read in two parts, far apart, all arrives.
		go func() {
			client.Read(buf[:2])
			time.Sleep(25 * time.Second)
			client.Read(buf[2:])
		}()
		if n, err := c.Write([]byte("said")); n != 4 || err != nil {
			t.Errorf("%d bytes written, %v", n, err)
		}
	})
}
