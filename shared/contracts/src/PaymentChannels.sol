// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from '@openzeppelin/contracts/token/ERC20/IERC20.sol';
import {IERC20Permit} from '@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol';
import {SafeERC20} from '@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol';
import {ECDSA} from '@openzeppelin/contracts/utils/cryptography/ECDSA.sol';
import {EIP712} from '@openzeppelin/contracts/utils/cryptography/EIP712.sol';
import {ReentrancyGuardTransient} from '@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol';

/// @title One-way payment channels.
/// @notice The payer deposits and hands the payee signed vouchers whose amount only grows; the payee turns the newest
/// into tokens whenever it likes. The payer gets the rest back when the payee closes, or after notice of its own.
///
/// Invariants, held by the fuzz suite:
/// - 0 <= settled <= deposit of every channel, and `settled` never falls;
/// - this contract holds at least the sum of (deposit - settled) over all channels;
/// - a channel id is opened at most once, for ever: a closed channel leaves its record.
contract PaymentChannels is EIP712, ReentrancyGuardTransient {
  using SafeERC20 for IERC20;

  /// @dev Laid out so that settling touches two slots: (payee, settled) and (signer, deposit).
  struct Channel {
    address payer;
    /// Unix seconds from which the payer may refund; 0 while no notice was given.
    uint40 closeAt;
    /// Notice the payer must give.
    uint32 challengeSeconds;
    address payee;
    uint96 settledWei;
    /// Key that signs vouchers; zero once the channel is closed.
    address signer;
    uint96 depositWei;
  }

  /// @dev The signature is ERC-2098's compact form: `vs` is s with the parity of v in its top bit.
  struct Voucher {
    bytes32 channelId;
    /// Everything this channel ever paid, this voucher included.
    uint128 cumulativeWei;
    /// Last second (Unix time) in which it can be settled.
    uint64 expiresAt;
    bytes32 r;
    bytes32 vs;
  }

  enum Refusal {
    None,
    NoChannel,
    NotPayee,
    NothingNew,
    Expired,
    OverDeposit,
    Forged
  }

  bytes32 public constant VOUCHER_TYPEHASH = keccak256(
    'Voucher(bytes32 channelId,uint128 cumulativeWei,uint64 expiresAt)'
  );
  uint32 public constant MIN_CHALLENGE_SECONDS = 1 hours;
  uint32 public constant MAX_CHALLENGE_SECONDS = 30 days;

  uint8 private constant PAIR_OPENED = 1;
  uint8 private constant PAIR_PAID = 2;

  IERC20 public immutable token;

  mapping(bytes32 channelId => Channel) private _channels;
  /// @dev Made non-zero at the payer's cost when a channel opens, so that the payee's first settlement is cheap.
  mapping(address payer => mapping(address payee => uint8)) private _pairs;

  event Opened(
    bytes32 indexed channelId,
    address indexed payer,
    address indexed payee,
    address signer,
    uint256 depositWei,
    uint256 challengeSeconds,
    bytes32 openRef
  );
  event ToppedUp(bytes32 indexed channelId, uint256 depositWei);
  event Settled(bytes32 indexed channelId, address indexed payee, uint256 paidWei, uint256 cumulativeWei);
  event VoucherSkipped(bytes32 indexed channelId, uint256 cumulativeWei, Refusal reason);
  event CloseRequested(bytes32 indexed channelId, uint256 closeAt);
  event Closed(
    bytes32 indexed channelId,
    address indexed payer,
    address indexed payee,
    uint256 settledWei,
    uint256 refundedWei
  );

  error InvalidTerms();
  error AlreadyOpened(bytes32 channelId);
  error NoChannel(bytes32 channelId);
  error ChannelClosed(bytes32 channelId);
  error NotPayer(bytes32 channelId);
  error NotPayee(bytes32 channelId);
  error ClosePending(bytes32 channelId);
  error TooEarly(bytes32 channelId, uint256 closeAt);
  error VoucherRefused(bytes32 channelId, Refusal reason);
  /// @dev The deposit did not arrive in full: a token that takes a fee, or one that lies.
  error UnsupportedToken();

  constructor(IERC20 token_) EIP712('Hearth PaymentChannels', '1') {
    token = token_;
  }

  // ---------------------------------------------------------------- payer

  /// @notice Opens a channel. The id follows from (chain, contract, payer, reference) alone, so a repeat after a
  /// crash is refused with AlreadyOpened, whatever its other terms.
  /// @param signer key allowed to sign vouchers; zero means the payer itself.
  function open(
    address payee,
    address signer,
    uint96 depositWei,
    uint32 challengeSeconds,
    bytes32 openRef
  ) external nonReentrant returns (bytes32 channelId) {
    return _open(payee, signer, depositWei, challengeSeconds, openRef);
  }

  /// @notice As `open`, with the allowance given by an ERC-2612 signature in the same transaction.
  function openWithPermit(
    address payee,
    address signer,
    uint96 depositWei,
    uint32 challengeSeconds,
    bytes32 openRef,
    uint256 deadline,
    uint8 v,
    bytes32 r,
    bytes32 s
  ) external nonReentrant returns (bytes32 channelId) {
    // Anybody may send the permit first; the allowance is then in place all the same.
    try IERC20Permit(address(token)).permit(msg.sender, address(this), depositWei, deadline, v, r, s) {} catch {}
    return _open(payee, signer, depositWei, challengeSeconds, openRef);
  }

  function topUp(bytes32 channelId, uint96 amountWei) external nonReentrant {
    Channel storage channel = _ofPayer(channelId);
    if (channel.closeAt != 0) revert ClosePending(channelId);
    if (amountWei == 0) revert InvalidTerms();
    channel.depositWei += amountWei;
    emit ToppedUp(channelId, channel.depositWei);
    _pull(amountWei);
  }

  /// @notice Gives notice: from `closeAt` on the payer may take back what the payee has not settled.
  function requestClose(bytes32 channelId) external {
    Channel storage channel = _ofPayer(channelId);
    if (channel.closeAt != 0) revert ClosePending(channelId);
    uint40 closeAt = uint40(block.timestamp) + channel.challengeSeconds;
    channel.closeAt = closeAt;
    emit CloseRequested(channelId, closeAt);
  }

  /// @notice Ends the channel after notice. Until this is mined the payee may still settle.
  function refund(bytes32 channelId) external nonReentrant {
    Channel storage channel = _ofPayer(channelId);
    uint256 closeAt = channel.closeAt;
    if (closeAt == 0 || block.timestamp < closeAt) revert TooEarly(channelId, closeAt);
    _finish(channel, channelId);
  }

  // ---------------------------------------------------------------- payee

  /// @notice Pays one voucher, or reverts with the reason.
  function settle(Voucher calldata voucher) external nonReentrant returns (uint256 paidWei) {
    paidWei = _redeemOrRevert(voucher);
    token.safeTransfer(msg.sender, paidWei);
  }

  /// @notice Pays every voucher that is good, in one transfer. Each is judged on its own: one that is settled already,
  /// expired, forged or over its deposit is skipped with an event and changes nothing, so that no payer can block
  /// the pay of others. Does not revert when all are skipped: repeating a batch is harmless.
  function settleBatch(Voucher[] calldata vouchers) external nonReentrant returns (uint256 paidWei) {
    for (uint256 i = 0; i < vouchers.length; ++i) {
      (Refusal refusal, uint256 paid) = _redeem(vouchers[i]);
      if (refusal == Refusal.None) paidWei += paid;
      else emit VoucherSkipped(vouchers[i].channelId, vouchers[i].cumulativeWei, refusal);
    }
    if (paidWei != 0) token.safeTransfer(msg.sender, paidWei);
  }

  /// @notice Ends the channel at once; the payer gets what is not settled.
  function close(bytes32 channelId) external nonReentrant {
    _finish(_ofPayee(channelId), channelId);
  }

  /// @notice Settles the last voucher and ends the channel. A voucher that is settled already is no error.
  function closeWithVoucher(Voucher calldata voucher) external nonReentrant returns (uint256 paidWei) {
    Channel storage channel = _ofPayee(voucher.channelId);
    if (voucher.cumulativeWei > channel.settledWei) paidWei = _redeemOrRevert(voucher);
    _finish(channel, voucher.channelId);
    if (paidWei != 0) token.safeTransfer(msg.sender, paidWei);
  }

  // ---------------------------------------------------------------- views

  /// @notice All zero where there is no such channel; `signer` and `depositWei` zero once it is closed.
  function getChannel(bytes32 channelId) external view returns (Channel memory) {
    return _channels[channelId];
  }

  function channelIdOf(address payer, bytes32 openRef) public view returns (bytes32) {
    return keccak256(abi.encode(block.chainid, address(this), payer, openRef));
  }

  /// @notice Whether a voucher of `payer` was ever settled by `payee`. Reputation rests on this.
  function hasPaid(address payer, address payee) external view returns (bool) {
    return _pairs[payer][payee] == PAIR_PAID;
  }

  function voucherDigest(bytes32 channelId, uint128 cumulativeWei, uint64 expiresAt) public view returns (bytes32) {
    return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, cumulativeWei, expiresAt)));
  }

  // solhint-disable-next-line func-name-mixedcase
  function DOMAIN_SEPARATOR() external view returns (bytes32) {
    return _domainSeparatorV4();
  }

  // ---------------------------------------------------------------- inside

  function _open(
    address payee,
    address signer,
    uint96 depositWei,
    uint32 challengeSeconds,
    bytes32 openRef
  ) private returns (bytes32 channelId) {
    channelId = channelIdOf(msg.sender, openRef);
    if (_channels[channelId].payer != address(0)) revert AlreadyOpened(channelId);
    if (payee == address(0) || payee == msg.sender || payee == address(this) || depositWei == 0) {
      revert InvalidTerms();
    }
    if (challengeSeconds < MIN_CHALLENGE_SECONDS || challengeSeconds > MAX_CHALLENGE_SECONDS) revert InvalidTerms();
    if (signer == address(0)) signer = msg.sender;
    _channels[channelId] = Channel({
      payer: msg.sender,
      closeAt: 0,
      challengeSeconds: challengeSeconds,
      payee: payee,
      settledWei: 0,
      signer: signer,
      depositWei: depositWei
    });
    if (_pairs[msg.sender][payee] == 0) _pairs[msg.sender][payee] = PAIR_OPENED;
    emit Opened(channelId, msg.sender, payee, signer, depositWei, challengeSeconds, openRef);
    _pull(depositWei);
  }

  /// @dev Takes tokens from the caller and insists that they all arrive.
  function _pull(uint256 amountWei) private {
    uint256 before = token.balanceOf(address(this));
    token.safeTransferFrom(msg.sender, address(this), amountWei);
    if (token.balanceOf(address(this)) != before + amountWei) revert UnsupportedToken();
  }

  function _redeemOrRevert(Voucher calldata voucher) private returns (uint256) {
    (Refusal refusal, uint256 paidWei) = _redeem(voucher);
    if (refusal != Refusal.None) revert VoucherRefused(voucher.channelId, refusal);
    return paidWei;
  }

  /// @dev Books a voucher without moving tokens; changes nothing where it refuses. Cheapest checks first.
  function _redeem(Voucher calldata voucher) private returns (Refusal, uint256) {
    bytes32 channelId = voucher.channelId;
    uint256 cumulative = voucher.cumulativeWei;
    Channel storage channel = _channels[channelId];
    (address payee, uint256 settled) = (channel.payee, channel.settledWei);
    if (payee != msg.sender) return (payee == address(0) ? Refusal.NoChannel : Refusal.NotPayee, 0);
    if (cumulative <= settled) return (Refusal.NothingNew, 0);
    if (block.timestamp > voucher.expiresAt) return (Refusal.Expired, 0);
    // A closed channel has no deposit left, so it ends here too.
    if (cumulative > channel.depositWei) return (Refusal.OverDeposit, 0);
    // High-s forms are refused: one voucher has one signature.
    (address recovered, , ) = ECDSA.tryRecover(
      voucherDigest(channelId, voucher.cumulativeWei, voucher.expiresAt),
      voucher.r,
      voucher.vs
    );
    // `signer` is never zero in an open channel, and a failed recovery answers zero.
    if (recovered != channel.signer) return (Refusal.Forged, 0);

    // casting to uint96 is safe: cumulative <= depositWei, a uint96
    channel.settledWei = uint96(cumulative);
    if (settled == 0) _markPaid(channel.payer, payee);
    unchecked {
      uint256 paid = cumulative - settled;
      emit Settled(channelId, payee, paid, cumulative);
      return (Refusal.None, paid);
    }
  }

  function _markPaid(address payer, address payee) private {
    if (_pairs[payer][payee] != PAIR_PAID) _pairs[payer][payee] = PAIR_PAID;
  }

  /// @dev Keeps payer, payee and the settled amount: the id stays taken, and the past stays readable.
  function _finish(Channel storage channel, bytes32 channelId) private {
    (address payer, uint256 settled) = (channel.payer, channel.settledWei);
    uint256 rest = channel.depositWei - settled;
    channel.signer = address(0);
    channel.depositWei = 0;
    emit Closed(channelId, payer, channel.payee, settled, rest);
    if (rest != 0) token.safeTransfer(payer, rest);
  }

  function _ofPayer(bytes32 channelId) private view returns (Channel storage channel) {
    channel = _live(channelId);
    if (msg.sender != channel.payer) revert NotPayer(channelId);
  }

  function _ofPayee(bytes32 channelId) private view returns (Channel storage channel) {
    channel = _live(channelId);
    if (msg.sender != channel.payee) revert NotPayee(channelId);
  }

  function _live(bytes32 channelId) private view returns (Channel storage channel) {
    channel = _channels[channelId];
    if (channel.payer == address(0)) revert NoChannel(channelId);
    if (channel.signer == address(0)) revert ChannelClosed(channelId);
  }
}
