// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

interface IAgents {
  function ownerOf(uint256 agentId) external view returns (address);
  function getApproved(uint256 agentId) external view returns (address);
  function isApprovedForAll(address owner, address operator) external view returns (bool);
  function getAgentWallet(uint256 agentId) external view returns (address);
}

interface IPaidPairs {
  function hasPaid(address payer, address payee) external view returns (bool);
}

/// @title Feedback on agents, to the ERC-8004 Reputation interface, open only to those who paid.
/// @notice A client may speak about an agent when a voucher of the client was settled to the agent's wallet.
contract ReputationRegistry {
  struct Feedback {
    int128 value;
    uint8 valueDecimals;
    bool isRevoked;
    string tag1;
    string tag2;
  }

  /// @dev Bounds that keep sums of any number of entries within int256.
  int128 public constant MAX_ABS_VALUE = 1e38;
  uint8 public constant MAX_DECIMALS = 18;
  uint256 public constant MAX_TAG_BYTES = 64;

  IAgents private immutable _identity;
  IPaidPairs public immutable channels;

  mapping(uint256 agentId => address[]) private _clients;
  mapping(uint256 agentId => mapping(address client => uint64)) private _lastIndex;
  mapping(uint256 agentId => mapping(address client => mapping(uint64 index => Feedback))) private _feedback;
  mapping(uint256 agentId => mapping(address client => mapping(uint64 index => address[]))) private _responders;
  mapping(uint256 agentId => mapping(address client => mapping(uint64 index => mapping(address responder => uint64))))
    private _responseCounts;

  event NewFeedback(
    uint256 indexed agentId,
    address indexed clientAddress,
    uint64 feedbackIndex,
    int128 value,
    uint8 valueDecimals,
    string indexed indexedTag1,
    string tag1,
    string tag2,
    string endpoint,
    string feedbackURI,
    bytes32 feedbackHash
  );
  event FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex);
  event ResponseAppended(
    uint256 indexed agentId,
    address indexed clientAddress,
    uint64 feedbackIndex,
    address indexed responder,
    string responseURI,
    bytes32 responseHash
  );

  error NotACustomer(address client, address wallet);
  error SelfFeedback();
  error InvalidFeedback();
  error NoFeedback();
  error AlreadyRevoked();
  error ClientsRequired();

  constructor(IAgents identity, IPaidPairs channels_) {
    _identity = identity;
    channels = channels_;
  }

  function getIdentityRegistry() external view returns (address) {
    return address(_identity);
  }

  function getVersion() external pure returns (string memory) {
    return 'hearth-1';
  }

  function giveFeedback(
    uint256 agentId,
    int128 value,
    uint8 valueDecimals,
    string calldata tag1,
    string calldata tag2,
    string calldata endpoint,
    string calldata feedbackURI,
    bytes32 feedbackHash
  ) external {
    if (
      valueDecimals > MAX_DECIMALS ||
      value > MAX_ABS_VALUE ||
      value < -MAX_ABS_VALUE ||
      bytes(tag1).length > MAX_TAG_BYTES ||
      bytes(tag2).length > MAX_TAG_BYTES
    ) revert InvalidFeedback();
    _requireCustomer(agentId);

    uint64 index = ++_lastIndex[agentId][msg.sender];
    if (index == 1) _clients[agentId].push(msg.sender);
    _feedback[agentId][msg.sender][index] = Feedback(value, valueDecimals, false, tag1, tag2);
    emit NewFeedback(
      agentId,
      msg.sender,
      index,
      value,
      valueDecimals,
      tag1,
      tag1,
      tag2,
      endpoint,
      feedbackURI,
      feedbackHash
    );
  }

  function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external {
    Feedback storage feedback = _existing(agentId, msg.sender, feedbackIndex);
    if (feedback.isRevoked) revert AlreadyRevoked();
    feedback.isRevoked = true;
    emit FeedbackRevoked(agentId, msg.sender, feedbackIndex);
  }

  function appendResponse(
    uint256 agentId,
    address clientAddress,
    uint64 feedbackIndex,
    string calldata responseURI,
    bytes32 responseHash
  ) external {
    _existing(agentId, clientAddress, feedbackIndex);
    if (_responseCounts[agentId][clientAddress][feedbackIndex][msg.sender]++ == 0) {
      _responders[agentId][clientAddress][feedbackIndex].push(msg.sender);
    }
    emit ResponseAppended(agentId, clientAddress, feedbackIndex, msg.sender, responseURI, responseHash);
  }

  // ---------------------------------------------------------------- views

  function getClients(uint256 agentId) external view returns (address[] memory) {
    return _clients[agentId];
  }

  function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64) {
    return _lastIndex[agentId][clientAddress];
  }

  function readFeedback(
    uint256 agentId,
    address clientAddress,
    uint64 feedbackIndex
  ) external view returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked) {
    Feedback storage feedback = _existing(agentId, clientAddress, feedbackIndex);
    return (feedback.value, feedback.valueDecimals, feedback.tag1, feedback.tag2, feedback.isRevoked);
  }

  /// @notice Count and mean of the named clients' standing feedback; empty tags match all. The mean carries the
  /// number of decimals that most entries have.
  function getSummary(
    uint256 agentId,
    address[] calldata clientAddresses,
    string calldata tag1,
    string calldata tag2
  ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals) {
    if (clientAddresses.length == 0) revert ClientsRequired();
    uint64[19] memory decimalsSeen;
    int256 sum = 0;
    for (uint256 c = 0; c < clientAddresses.length; ++c) {
      uint64 last = _lastIndex[agentId][clientAddresses[c]];
      for (uint64 index = 1; index <= last; ++index) {
        Feedback storage feedback = _feedback[agentId][clientAddresses[c]][index];
        if (feedback.isRevoked || !_matches(feedback, tag1, tag2)) continue;
        ++count;
        ++decimalsSeen[feedback.valueDecimals];
        sum += int256(feedback.value) * int256(10 ** uint256(MAX_DECIMALS - feedback.valueDecimals));
      }
    }
    if (count == 0) return (0, 0, 0);
    for (uint8 d = 1; d <= MAX_DECIMALS; ++d) {
      if (decimalsSeen[d] > decimalsSeen[summaryValueDecimals]) summaryValueDecimals = d;
    }
    int256 mean = sum / int256(uint256(count)) / int256(10 ** uint256(MAX_DECIMALS - summaryValueDecimals));
    // casting is safe: |mean| <= MAX_ABS_VALUE * 10^summaryValueDecimals only for equal decimals, else checked here
    if (mean > type(int128).max || mean < type(int128).min) revert InvalidFeedback();
    summaryValue = int128(mean);
  }

  /// @notice Every entry that matches. An empty list of clients means all of them.
  function readAllFeedback(
    uint256 agentId,
    address[] calldata clientAddresses,
    string calldata tag1,
    string calldata tag2,
    bool includeRevoked
  )
    external
    view
    returns (
      address[] memory clients,
      uint64[] memory feedbackIndexes,
      int128[] memory values,
      uint8[] memory valueDecimals,
      string[] memory tag1s,
      string[] memory tag2s,
      bool[] memory revokedStatuses
    )
  {
    address[] memory from = clientAddresses;
    if (from.length == 0) from = _clients[agentId];
    uint256 total = 0;
    for (uint256 c = 0; c < from.length; ++c) {
      for (uint64 index = 1; index <= _lastIndex[agentId][from[c]]; ++index) {
        if (_shown(_feedback[agentId][from[c]][index], tag1, tag2, includeRevoked)) ++total;
      }
    }
    clients = new address[](total);
    feedbackIndexes = new uint64[](total);
    values = new int128[](total);
    valueDecimals = new uint8[](total);
    tag1s = new string[](total);
    tag2s = new string[](total);
    revokedStatuses = new bool[](total);
    uint256 row = 0;
    for (uint256 c = 0; c < from.length; ++c) {
      for (uint64 index = 1; index <= _lastIndex[agentId][from[c]]; ++index) {
        Feedback storage feedback = _feedback[agentId][from[c]][index];
        if (!_shown(feedback, tag1, tag2, includeRevoked)) continue;
        clients[row] = from[c];
        feedbackIndexes[row] = index;
        values[row] = feedback.value;
        valueDecimals[row] = feedback.valueDecimals;
        tag1s[row] = feedback.tag1;
        tag2s[row] = feedback.tag2;
        revokedStatuses[row] = feedback.isRevoked;
        ++row;
      }
    }
  }

  /// @notice Responses to one entry; to all of a client's entries with index 0; to all clients' with address 0.
  /// An empty list of responders means all of them.
  function getResponseCount(
    uint256 agentId,
    address clientAddress,
    uint64 feedbackIndex,
    address[] calldata responders
  ) external view returns (uint64 count) {
    if (clientAddress != address(0)) return _responsesToClient(agentId, clientAddress, feedbackIndex, responders);
    address[] storage clients = _clients[agentId];
    for (uint256 c = 0; c < clients.length; ++c) count += _responsesToClient(agentId, clients[c], 0, responders);
  }

  // ---------------------------------------------------------------- inside

  function _requireCustomer(uint256 agentId) private view {
    address owner = _identity.ownerOf(agentId);
    address wallet = _identity.getAgentWallet(agentId);
    if (
      msg.sender == owner ||
      msg.sender == wallet ||
      _identity.isApprovedForAll(owner, msg.sender) ||
      _identity.getApproved(agentId) == msg.sender
    ) revert SelfFeedback();
    if (!channels.hasPaid(msg.sender, wallet)) revert NotACustomer(msg.sender, wallet);
  }

  function _existing(uint256 agentId, address client, uint64 index) private view returns (Feedback storage) {
    if (index == 0 || index > _lastIndex[agentId][client]) revert NoFeedback();
    return _feedback[agentId][client][index];
  }

  function _responsesToClient(
    uint256 agentId,
    address client,
    uint64 feedbackIndex,
    address[] calldata responders
  ) private view returns (uint64 count) {
    uint64 last = _lastIndex[agentId][client];
    (uint64 from, uint64 to) = feedbackIndex == 0 ? (1, last) : (feedbackIndex, feedbackIndex);
    for (uint64 index = from; index <= to; ++index) {
      address[] memory who = responders;
      if (who.length == 0) who = _responders[agentId][client][index];
      for (uint256 r = 0; r < who.length; ++r) count += _responseCounts[agentId][client][index][who[r]];
    }
  }

  function _shown(
    Feedback storage feedback,
    string calldata tag1,
    string calldata tag2,
    bool includeRevoked
  ) private view returns (bool) {
    return (includeRevoked || !feedback.isRevoked) && _matches(feedback, tag1, tag2);
  }

  function _matches(Feedback storage feedback, string calldata tag1, string calldata tag2) private view returns (bool) {
    return _tagMatches(feedback.tag1, tag1) && _tagMatches(feedback.tag2, tag2);
  }

  function _tagMatches(string memory tag, string calldata wanted) private pure returns (bool) {
    return bytes(wanted).length == 0 || keccak256(bytes(tag)) == keccak256(bytes(wanted));
  }
}
