package gateway

import (
	"context"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
)

// grpcConn is a connection that counts what comes over it, and gives its place
// back when it is closed.
type grpcConn struct {
	net.Conn
	leave func()
	// came is how many bytes were read.
	came atomic.Int64
}

// Read reads what came.
func (c *grpcConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.came.Add(int64(n))
	return n, err
}

// Close ends the connection.
func (c *grpcConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// AuthType makes the connection what the library keeps of a handshake, which
// is the one thing of a connection that its calls can ask for.
func (*grpcConn) AuthType() string { return "none" }

// knownConns makes no handshake, TLS is below it, and tells calls their
// connection.
type knownConns struct {
	credentials.TransportCredentials
}

func newKnownConns() knownConns { return knownConns{insecure.NewCredentials()} }

// ServerHandshake returns the connection as it is.
func (knownConns) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, c.(*grpcConn), nil
}

// Clone returns the same.
func (k knownConns) Clone() credentials.TransportCredentials { return k }

// connOf is the connection that a call came over.
func connOf(ctx context.Context) *grpcConn {
	from, _ := peer.FromContext(ctx)
	return from.AuthInfo.(*grpcConn)
}
