import { KiB, MiB, GiB } from '../units.ts';

/**
 * Every bound that a peer, a file or a model meets, in one place. docs/limits.md lists them with their reasons;
 * a test holds that page against this file. Names end in their unit.
 */
export const LIMITS = {
  frame: {
    controlBytes: 64 * KiB,
    dataBytes: 1 * MiB,
  },
  conversation: {
    /** What a peer may send before the first credit; also the memory a silent stream can cost. Larger than any frame. */
    initialWindowBytes: 2 * MiB,
    /** A window doubles up to here while its reader keeps up: a 125 MB/s line at 60 ms stays full. */
    maxWindowBytes: 8 * MiB,
    /** Conversations that peers opened, all of them together; times the initial window is the memory they can cost. */
    inboundCount: 256,
    /** All windows of a node together above their initial size. */
    windowBudgetBytes: 64 * MiB,
    /** Charged to the window for each frame besides its body, so that a flood of empty frames is bounded too. */
    frameOverheadBytes: 64,
    /** Neither the peer nor the transport took a byte of what waits to be sent. */
    writeStallMs: 30_000,
    /** From a frame's first byte to its last: 17 kB/s at least for the largest. */
    frameMs: 60_000,
    /** After our end of a stream is closed, the peer has this long to close its own. */
    lingerMs: 5_000,
  },
  statement: {
    /** A sealed statement fits a control frame beside a few other fields. */
    sealedBytes: 56 * KiB,
    payloadBytes: 48 * KiB,
    /** Longest life: bounds how long a nonce must be remembered. */
    ttlMs: 3_600_000,
    /** Home computers' clocks are off by seconds, sometimes by a minute. */
    clockSkewMs: 90_000,
    /** Nonces remembered at once, some 150 bytes each. */
    rememberedCount: 65_536,
    rememberedPerSenderCount: 4_096,
  },
  gossip: {
    /** Digests and offers, never payloads: every message reaches every subscriber. */
    messageBytes: 16 * KiB,
    /** Verified at 0.1 ms each: one neighbour can keep 5 % of a core busy, no more. */
    messagesPerSecondPerNeighbour: 500,
    /** Kinds of statements a relay carries for others. */
    topicCount: 32,
  },
  score: {
    /** Misdeeds cost; at this score a peer is banned. */
    banBelow: -100,
    price: {
      /** Ten in a row: a bug of another version is not banned at once. */
      invalidMessage: 10,
      tooMuch: 20,
      brokenLease: 20,
      wrongBytes: 50,
      wrongResult: 50,
      badVoucher: 50,
    },
    halfLifeMs: 3_600_000,
    firstBanMs: 600_000,
    longestBanMs: 7 * 86_400_000,
    /** A ban without a further misdeed is forgotten after this long, so that the next is half as long again. */
    banForgottenMs: 86_400_000,
    rememberedPeers: 4_096,
  },
  network: {
    /** Above them libp2p closes the least valued connections. */
    connections: 128,
    relayConnections: 1_024,
    /** Handshakes under way at once. */
    pendingConnections: 64,
    /** libp2p's 5 refused 7 of 12 simultaneous dials from one address, and a household is one address. */
    connectionsPerSecondPerHost: 50,
    streamsPerConnection: 256,
    /** For one protocol, unless its handler asks for less. */
    streamsPerProtocol: 32,
    parallelDials: 32,
    queuedDials: 200,
    addressesPerDial: 16,
    dialMs: 10_000,
    addressDialMs: 5_000,
    /** Asking the DHT where a peer is, or who has a content. */
    lookupMs: 5_000,
    provideMs: 30_000,
    providers: 32,
    /** A live connection negotiates a protocol in one or two round trips; one that takes longer is dead. */
    negotiateMs: 4_000,
    handshakeMs: 10_000,
    /** yamux grows a stream's window up to here: 100 MB/s at 40 ms. */
    yamuxWindowBytes: 4 * MiB,
    /** What a stream holds before a reader is attached; must exceed the window or fast senders are cut off. */
    readBufferBytes: 8 * MiB,
    pingEveryMs: 30_000,
    pingMs: 10_000,
    /** Unanswered pings in a row, on a connection that nothing else arrived on, until it counts as dead. */
    missedPings: 2,
    /** Bootstrap peers are dialled again after this long, doubling up to the longest, each time with up to as much jitter. */
    redialMs: 500,
    longestRedialMs: 60_000,
    /** Between two steps of a walk through the DHT in search of relays or of peers that check our addresses. */
    walkPauseMs: 20_000,
    /** Of identify, which tells addresses and protocols. */
    identifyBytes: 16 * KiB,
    /** Minor versions below its own that a handler also answers to. */
    minorVersions: 16,
  },
  relay: {
    reservations: 512,
    reservationMs: 3_600_000,
    /** Both directions together: signalling takes 3 kB; relays carry control messages, tensors never. */
    bytesPerConnection: 1 * MiB,
    connectionMs: 120_000,
    stopStreams: 64,
    hopStreams: 64,
    stunPerSecondPerHost: 20,
    stunHosts: 4_096,
  },
  content: {
    /** One leaf fills one data frame; larger ones would make a wrong byte cost more and a resume begin further back. */
    leafBytes: 1 * MiB,
    /** Smaller leaves suit slow uplinks; below this the list of hashes outweighs what it saves. */
    minLeafBytes: 16 * KiB,
    /** Full-sized leaves of the largest file, and the length of any manifest's list. */
    leaves: 16 * 1024,
    fileBytes: 16 * GiB,
    /** 41 bytes for each leaf and a short head: fits one data frame. */
    manifestBytes: 704 * KiB,
    /** Leaves that one request may ask for. */
    leavesPerRequest: 64,
    /** Requests on their way to one provider: enough to fill a 12.5 MB/s link of 40 ms, little to hand on when it dies. */
    requestsPerProvider: 4,
    /** Providers that one download talks to at a time. */
    providersPerFetch: 8,
    /** Providers that one download tries in all, the DHT's included: a stranger can announce any number. */
    providersTried: 32,
    /** Tries to reach a provider that failed before it is given up for this download. */
    attemptsPerProvider: 3,
    /** Leaves of one download being checked and written; the network waits when it is reached. */
    leavesToWrite: 4,
    /** Wrong senders remembered; the oldest are forgotten first. */
    wrongSenders: 4096,
    /** Tries are this far apart at first, then twice as far each. */
    retryMs: 250,
    /** A leaf that one provider owes for so long may be asked of another too. */
    doubleAfterMs: 2_000,
    /** A provider with nothing to ask for is asked again what it has, and let go when it has had nothing so many times. */
    refreshMs: 5_000,
    refreshes: 6,
    /** Looking for providers in the DHT. */
    findMs: 15_000,
    openTimeoutMs: 10_000,
    /** Silence from a provider that owes an answer. */
    answerTimeoutMs: 20_000,
    /** A requester that asks nothing for so long loses its stream. */
    idleTimeoutMs: 60_000,
    /** Uploads: streams of one peer and of all. Each holds three leaves in memory. */
    uploadStreamsPerPeer: 4,
    uploadStreams: 32,
    /** Entries in the folder; each costs a few hundred bytes of memory. */
    entries: 100_000,
    /** Entries whose file and list of hashes stay open while nobody uses them. */
    idleOpenEntries: 16,
    /** Whole content read into memory at once; larger content is read in ranges. */
    readBytes: 2 * GiB,
  },
  compute: {
    /** Head of one message between the pool and an executor: names and shapes, no data. */
    headBytes: 1 * MiB,
    /** An executor's own words about a failure. */
    reasonBytes: 512,
    /** Inputs or outputs of one model, and dimensions of one tensor. */
    tensors: 1024,
    rank: 16,
    /** Shards on their way to one executor: enough to hide the pool's own work behind shards of a millisecond. */
    shardsInFlight: 16,
    /** ... unless they are large: one shard runs, and the next ones wait in memory twice. */
    bytesInFlight: 16 * MiB,
    /** Batches waiting for one executor; each holds its inputs in memory. */
    batchesQueued: 64,
    batchShards: 4096,
    /** Admission verdicts remembered by model digest. */
    verdicts: 256,
    /** Sessions of one executor, however small their models. */
    sessions: 64,
    /** Loaded models of one executor together, by their estimated peak. */
    sessionsBytes: 2 * GiB,
    /** What an executor may hold above its own start size: sessions, inputs, outputs, the runtime's scratch memory. */
    memoryBytes: 3 * GiB,
    /** Room for a thread's stack and arena below the same ceiling. */
    memoryPerThreadBytes: 64 * MiB,
    /** How often a busy executor's resident size is looked at. */
    memoryCheckMs: 100,
    /** From spawn to the executor's first message; a cold disk under load takes seconds. */
    startMs: 20_000,
    /** Starts that may fail in a row before the placement is called unavailable. */
    startAttempts: 3,
    restartMinMs: 100,
    restartMaxMs: 30_000,
    /** Crashes that one batch may cause; then what is left of it fails. */
    crashesPerBatch: 4,
    /** After an abort the shard that runs may end by itself before its executor is killed. */
    abortGraceMs: 200,
    /** prepare() has no deadline of its own; GPU self-test and shader compilation included. */
    prepareMs: 120_000,
    /** An executor that nobody used for so long is ended, and its memory given back. */
    idleMs: 5 * 60_000,
    /** What an executor printed, kept for the log when it died. */
    outputTailBytes: 4 * KiB,
    openFiles: 256,
    processes: 512,
  },
  /** .npy, .npz and raw tensors given by users; how many bytes in all is up to who reads them. */
  tensorFile: {
    /** NumPy's own default for what it evaluates is 10,000; ours is only parsed. */
    headerBytes: 64 * KiB,
    /** As for tensors on the wire. */
    rank: 8,
    entries: 256,
    nameBytes: 256,
    /** Deflated bytes taken at a time: they grow a thousandfold at most, so this bounds what a bomb can cost. */
    inflateStepBytes: 4 * KiB,
  },
  shard: {
    inputBytes: 64 * MiB,
    outputBytes: 64 * MiB,
    perLeaseCount: 256,
  },
  /** What a stranger's ONNX model may be before the runtime sees a byte of it. Callers lower or raise the last block to what the device has. */
  onnx: {
    /** Protobuf's own ceiling for one message. */
    modelBytes: 2 * GiB - 1,
    irVersionMin: 3,
    irVersionMax: 10,
    opsetMin: 7,
    opsetMax: 21,
    /** Exports of large language models have some ten thousand nodes. */
    nodes: 20_000,
    initializers: 20_000,
    /** Messages, names and list elements the reader keeps: two bytes of file become a hundred of memory, so they are counted. */
    items: 500_000,
    /** Exporters write module paths of some two hundred bytes. */
    nameBytes: 1 * KiB,
    rank: 8,
    /** Inputs, outputs or attributes of one node; a concatenation of hundreds is seen, of thousands not. */
    nodeValues: 4096,
    /** Elements of a constant that shape inference follows by value (shapes, axes, pads); a full model of such nodes stays within a second. */
    constantElements: 128,
    /** Above it a size is arithmetic gone wrong, whatever its dtype. */
    dimSize: 2 ** 31 - 1,
    /** Any one value in the graph. */
    tensorBytes: 512 * MiB,
    /** File, weights and live values together. */
    peakBytes: 1 * GiB,
    /** Multiplications and additions of one run: about a minute of one slow core. */
    flops: 1e12,
  },
  /** The work conversation: offers, leases, results, pay. */
  work: {
    /** Offers a provider remembers; a flood of strangers' offers pushes out the least attractive, not the memory. */
    offers: 1024,
    /** A requester has few jobs open at once; more from one peer is a flood. */
    offersPerPeer: 16,
    addresses: 16,
    /** As statement.sealedBytes: a sealed statement travels in one control frame. */
    sealedBytes: 56 * KiB,
    tensorsPerShard: 64,
    tensorRank: 8,
    tensorNameBytes: 256,
    /** Different layouts in one lease: models with open dimensions. */
    layouts: 64,
    /** Inputs of one lease, or outputs in one message of results. The one bigger thing is a single shard at its own limit. */
    payloadBytes: 32 * MiB,
    shardIndex: 2 ** 40,
    leaseSeconds: 24 * 3600,
    retryAfterMs: 3_600_000,
    /** Leases a provider may still hold results for when it joins again. */
    resumedLeases: 64,
    /** Leases in flight in one conversation: one runs while the next one's inputs arrive. */
    leasesInFlight: 2,
    /** Messages of one side that the other has not taken yet; a peer that causes more is flooding. */
    outboxMessages: 1024,
    /** Conversations a requester holds at once; one for each provider. */
    conversations: 256,
    /** Time for the other side's first message, and for a requester's channel to be opened on chain. */
    helloMs: 20_000,
    welcomeMs: 180_000,
    /** Silence after which a conversation is over: the requester says Wait well before. */
    silenceMs: 90_000,
  },
  /** The chain: what a JSON-RPC server, a keystore file or a practice chain's caller may send. */
  chain: {
    /** One answer of a JSON-RPC server; eth_getLogs over the indexer's range stays far below. */
    responseBytes: 64 * MiB,
    /** One request to the practice chain: a contract's creation is 100 KiB in hexadecimal. */
    practiceRequestBytes: 512 * KiB,
    /** JSON-RPC calls in one request to the practice chain. */
    practiceBatchCount: 64,
    practiceConnections: 256,
    /** Blocks after which a replay at start takes several seconds and a reset is advised. */
    practiceLongJournal: 15_000,
    /** Vouchers in one settlement: 14k gas each keeps the transaction under 2.5M gas, far below any block's limit. */
    settleBatchCount: 150,
    /** A keystore file as ethers and geth write it is under 2 KiB. */
    keystoreBytes: 64 * KiB,
    /** Blocks of one eth_getLogs; public servers refuse more than 1,000 to 10,000. */
    indexRangeBlocks: 1_000,
    /** Text kept of a stranger's feedback (tag, URI) in the index. */
    feedbackTextBytes: 512,
    /** Clients asked about in one summary of reputation, an eth_call with bounded gas. */
    reputationClientsPerCall: 200,
  },
} as const;
